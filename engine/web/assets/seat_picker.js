// Chooses seats of a reserved section: so many of the best together, or each on the
// map or from the lists, which are built when they are first opened, as an event may
// have 200 sections.

import { announce, el, setText } from './element.js';
import { AVAILABLE, Layout } from './layout.js';
import { SeatList } from './seat_list.js';
import { lookOf, SeatMap } from './seat_map.js';
import { Stepper } from './stepper.js';
import { capital, count, money, seat as seatWords } from './words.js';

export class SeatPicker {
  element;

  #section;
  #context;
  #layout;
  #best;
  #toggle;
  #body = el('div', { class: 'picker', hidden: true });
  #caption = el('p', { class: 'caption' });
  #map = null;
  #list = null;
  #seats = null; // the section's letters; null until the feed has them
  #open = false;

  constructor(section, context) {
    this.#section = section;
    this.#context = context;
    this.#layout = new Layout(section.rows);
    this.#toggle = el('button', { type: 'button', class: 'toggle', 'aria-expanded': 'false',
      onclick: () => this.#show(this.#body.hidden) }, 'Choose seats');
    this.#best = new Stepper(section, context, `the best seats together in ${section.name}`);
    this.element = el('div', {},
      el('div', { class: 'best' }, el('span', {}, 'Best seats together'), this.#best.element), this.#toggle, this.#body);
  }

  start() {
    if (this.#context.event.sections.length === 1) this.#show(true);
  }

  stop() { this.#map?.stop(); }

  /** counts: the section's with its seats, null until they are known. open: whether one may choose now. */
  update(counts, open) {
    this.#seats = counts?.seats ?? null;
    this.#open = open;
    this.#best.update(counts, open);
    this.#map?.draw();
    this.#list?.update(open);
  }

  #show(shown) {
    this.#body.hidden = !shown;
    this.#toggle.setAttribute('aria-expanded', shown);
    setText(this.#toggle, shown ? 'Close the map' : 'Choose seats');
    if (this.#map || !shown) return;
    const { name } = this.#section;
    const onPick = (seat) => this.#pick(seat);
    this.#map = new SeatMap({ name, layout: this.#layout, onPick,
      look: (seat, offset) => this.#look(seat, offset), onPoint: (seat) => this.#point(seat) });
    this.#list = new SeatList({ name, layout: this.#layout, onPick, seats: () => this.#seats,
      isChosen: (seat) => this.#context.selection.has(this.#section.id, seat) });
    this.#body.append(this.#map.element, this.#caption, legend(), this.#list.element);
    this.#point(null);
    this.#list.update(this.#open);
    this.#map.start();
  }

  #look(seat, offset) {
    const { id } = this.#section;
    if (this.#context.selection.has(id, seat)) return 'chosen';
    if (this.#context.isMine(id, seat)) return 'mine';
    return this.#context.isMarked(id, seat) ? 'marked' : lookOf(this.#seats?.[offset]);
  }

  #pick(seat) {
    const { selection } = this.#context;
    const { id, price } = this.#section;
    if (!this.#open) return;
    if (selection.has(id, seat)) {
      selection.remove(id, seat);
      announce(`Not chosen any more: ${seatWords(seat)}.`);
    } else if (this.#seats?.[this.#layout.offset(seat)] !== AVAILABLE) {
      this.#say(this.#describe(seat));
    } else if (selection.add(id, seat)) {
      announce(`Chosen: ${seatWords(seat)}, ${money(price, this.#context.event.currency)}.`);
    } else {
      this.#say(`You can choose ${count(selection.most)} at the most. Take one back to choose another.`);
    }
  }

  #point(seat) {
    setText(this.#caption, seat === null ? 'Press a free seat to choose it.' : this.#describe(seat));
  }

  #describe(seat) {
    return `${capital(seatWords(seat))}: ${WORDS[this.#look(seat, this.#layout.offset(seat))]}`;
  }

  #say(text) {
    setText(this.#caption, text);
    announce(text);
  }
}

const WORDS = { available: 'free', held: 'held by someone', sold: 'sold', chosen: 'chosen by you', mine: 'yours',
  marked: 'just taken' };

function legend() {
  const entry = (look, text) => el('li', {}, el('span', { class: `dot ${look}` }), text);
  return el('ul', { class: 'legend', 'aria-hidden': 'true' }, entry('available', 'free'), entry('held', 'held'),
    entry('sold', 'sold'), entry('chosen', 'yours'));
}
