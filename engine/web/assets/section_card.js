// One section of an event: its name and price, what is left of it by the feed, and
// the way to choose from it: a number in a general section, seats in a reserved one.

import { el, setText } from './element.js';
import { SeatPicker } from './seat_picker.js';
import { Stepper } from './stepper.js';
import { count, money } from './words.js';

export class SectionCard {
  element;

  #left = el('strong', { class: 'left' }, '…');
  #parts = ['sold', 'held', 'available'].map((part) => el('span', { class: part }));
  #bar = el('div', { class: 'bar', role: 'img' }, this.#parts);
  #figures = el('p', { class: 'figures' });
  #picker;

  /** context: {event, selection, isMine(section, seat), isMarked(section, seat)}. */
  constructor(section, context) {
    this.#picker = section.kind === 'general'
      ? new Stepper(section, context) : new SeatPicker(section, context);
    this.element = el('section', { class: 'card section', 'data-section': section.id, 'aria-label': section.name },
      el('div', { class: 'section-head' },
        el('h2', {}, section.name),
        el('p', { class: 'price' }, money(section.price, context.event.currency)),
        el('p', { class: 'of' }, this.#left, section.kind === 'general' ? ' places left' : ' seats left')),
      this.#bar, this.#figures, this.#picker.element);
  }

  start() { this.#picker.start(); }

  stop() { this.#picker.stop(); }

  /** Shows the section as the feed has it; counts is null until it has. open: whether one may choose now. */
  update(counts, open) {
    if (counts) {
      const held = counts.held + counts.pinned; // pinned is held with a payment under way: the same to a buyer
      const { available, sold } = counts;
      setText(this.#left, count(available));
      [sold, held, available].forEach((share, i) => { this.#parts[i].style.flexGrow = share; });
      const text = `${count(available)} left · ${count(held)} held · ${count(sold)} sold`;
      this.#bar.setAttribute('aria-label', text);
      setText(this.#figures, available === 0 && held > 0 ? `${text}. Unpaid holds come back here.` : text);
      this.element.classList.toggle('empty', available === 0);
    }
    this.#picker.update(counts, open);
  }
}
