// Builds DOM nodes. It stands between the pages and the document so that text
// is always set as text: nothing that a server says is ever parsed as HTML.

/**
 * Returns a new element. Properties named "on…" are event listeners, "class" is
 * the class name, all others are attributes: true sets an empty one; false, null
 * and undefined set none. Children are nodes or strings; null and false are left out.
 */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (name === 'class') node.className = value;
    else node.setAttribute(name, value === true ? '' : String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Sets a node's text unless it has it already: an unchanged node isn't laid out again. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Says a text to those who listen rather than look. The same text twice is said twice. */
export function announce(text) {
  const status = document.getElementById('status');
  status.textContent = '';
  requestAnimationFrame(() => { status.textContent = text; });
}
