// The seats of one section as two lists, row and seat: the way to choose for
// keyboards and screen readers, and the exact way for everyone on a small screen.
// It offers all that the map offers.

import { el, setText } from './element.js';
import { AVAILABLE } from './layout.js';
import { count } from './words.js';

export class SeatList {
  element;

  #layout;
  #seats;
  #isChosen;
  #rows = el('select', { onchange: () => this.#fillSeats() });
  #places = el('select', { onfocus: () => this.#fillSeats() });
  #add;

  /** seats() returns the section's letters or null; isChosen(seat); onPick(seat). */
  constructor({ name, layout, seats, isChosen, onPick }) {
    this.#layout = layout;
    this.#seats = seats;
    this.#isChosen = isChosen;
    this.#rows.append(...layout.rows.map((row) => el('option', { value: row.id }, `Row ${row.id}`)));
    this.#add = el('button', { type: 'submit' }, 'Choose this seat');
    this.element = el('form', { class: 'seat-list', 'aria-label': `Choose a seat of ${name} from lists`,
      onsubmit: (event) => {
        event.preventDefault();
        if (this.#places.value) onPick(this.#places.value);
      } },
    el('label', {}, 'Row', this.#rows), el('label', {}, 'Seat', this.#places), this.#add);
    this.#fillSeats();
  }

  /** Brings the lists up to date. The one that is being used is left alone: it changes when it is opened. */
  update(open) {
    this.#rows.disabled = this.#places.disabled = this.#add.disabled = !open;
    const seats = this.#seats();
    if (!seats) return;
    if (document.activeElement !== this.#rows) {
      this.#layout.rows.forEach((row, i) =>
        setText(this.#rows.options[i], `Row ${row.id} (${count(this.#layout.left(row, seats))} left)`));
    }
    if (document.activeElement !== this.#places) this.#fillSeats();
  }

  #fillSeats() {
    const seats = this.#seats();
    const row = this.#layout.rows[this.#rows.selectedIndex];
    if (this.#places.options.length !== row.seats || this.#places.dataset.row !== row.id) {
      this.#places.replaceChildren(...Array.from({ length: row.seats }, (_, place) =>
        el('option', { value: this.#layout.seat(row, place) })));
      this.#places.dataset.row = row.id;
      this.#places.selectedIndex = -1;
    }
    for (const [place, option] of [...this.#places.options].entries()) {
      const chosen = this.#isChosen(option.value);
      const free = seats?.[row.start + place] === AVAILABLE;
      option.disabled = chosen || !free;
      setText(option, `${place + 1}${chosen ? ' (chosen)' : free ? '' : ' (taken)'}`);
    }
    if (this.#places.selectedOptions[0]?.disabled ?? true) {
      this.#places.selectedIndex = [...this.#places.options].findIndex((option) => !option.disabled);
    }
  }
}
