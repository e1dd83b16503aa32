// The way in: shows the page that the address names, and stops the one before. A
// page is {element, title, start, stop}.

import { el } from './element.js';
import { eventPage } from './event_page.js';
import { eventsPage } from './events_page.js';
import { ordersPage } from './orders_page.js';
import { explain } from './words.js';

const main = document.getElementById('main');
let page = null;                    // what is shown; null while the next is fetched
let coming = new AbortController(); // ends the fetching of the next page

addEventListener('hashchange', () => show());
// The skip link's own way would change the address, and so the page.
document.querySelector('.skip').addEventListener('click', (event) => {
  event.preventDefault();
  main.focus();
});
show(true);

async function show(first = false) {
  coming.abort(new Error('another page was asked for'));
  coming = new AbortController();
  const { signal } = coming;
  page?.stop();
  page = null;
  try {
    const next = await pageFor(location.hash, signal);
    if (signal.aborted) return;
    page = next;
  } catch (error) {
    if (signal.aborted) return;
    page = refusal(error);
  }
  document.title = `${page.title} · Onsale`;
  main.replaceChildren(page.element);
  page.start();
  if (!first) main.querySelector('h1').focus();
}

function pageFor(hash, signal) {
  const [, kind, id] = hash.split('/');
  if (kind === 'events' && id) return eventPage(decodeURIComponent(id), signal);
  if (kind === 'orders') return ordersPage(signal);
  return eventsPage(signal);
}

function refusal(error) {
  if (error.name !== 'Problem') console.error(error);
  const { title, advice } = explain(error, (section) => section);
  return { title, start() {}, stop() {},
    element: el('div', { class: 'notice', role: 'alert', 'data-code': error.code ?? 'internal' },
      el('h1', { tabindex: -1 }, title), el('p', {}, advice),
      el('button', { type: 'button', class: 'primary', onclick: () => show() }, 'Try again')) };
}
