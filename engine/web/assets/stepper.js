// Chooses how many of a section, within what a buyer may have: of a general one, or of
// the best seats of a reserved one.

import { el } from './element.js';

export class Stepper {
  element;

  #section;
  #selection;
  #input;
  #less;
  #more;

  constructor(section, { selection }, what = section.name) {
    this.#section = section;
    this.#selection = selection;
    this.#input = el('input', { type: 'number', inputmode: 'numeric', min: 0, max: selection.most, value: 0,
      'aria-label': `Tickets for ${what}`, onchange: () => this.#set(Number(this.#input.value)) });
    this.#less = el('button', { type: 'button', 'aria-label': `One less for ${what}`,
      onclick: () => this.#set(this.#quantity - 1) }, '−');
    this.#more = el('button', { type: 'button', 'aria-label': `One more for ${what}`,
      onclick: () => this.#set(this.#quantity + 1) }, '+');
    this.element = el('div', { class: 'stepper' }, this.#less, this.#input, this.#more);
  }

  start() {}

  stop() {}

  /** counts: the section's, null until they are known. open: whether one may choose now. */
  update(counts, open) {
    const quantity = this.#quantity;
    if (document.activeElement !== this.#input || !open) this.#input.value = quantity;
    this.#input.disabled = !open;
    this.#less.disabled = !open || quantity === 0;
    this.#more.disabled = !open || this.#selection.room === 0 || quantity >= (counts?.available ?? 0);
  }

  get #quantity() {
    return this.#selection.quantity(this.#section.id);
  }

  #set(quantity) {
    this.#selection.setQuantity(this.#section.id, quantity);
    this.#input.value = this.#quantity;
  }
}
