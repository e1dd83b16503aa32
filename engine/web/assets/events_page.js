// The page of all events, each with what is left of it. It asks again every few
// seconds while someone looks: a feed for every event that one doesn't open would
// cost the server more than a cached answer does.

import * as api from './api.js';
import { el, setText } from './element.js';
import { count, date, SALES } from './words.js';

const REFRESH_MS = 2_500;
const JITTER_MS = 1_000; // so that those who came together don't ask together

/** Returns the page: {element, title, start, stop}. Throws a Problem. */
export async function eventsPage(signal) {
  return new EventsPage(await api.listEvents({ signal }));
}

class EventsPage {
  title = 'Events';
  element = el('div', {}, el('h1', { tabindex: -1 }, 'Events'));

  #list = el('ul', { class: 'cards' });
  #empty = el('p', {}, 'Nothing is on sale yet. Events appear here by themselves.');
  #cards = new Map(); // event id → EventCard
  #timer = 0;
  #life = new AbortController();

  constructor(events) {
    this.element.append(this.#list, this.#empty);
    this.#show(events);
  }

  start() {
    this.#timer = setTimeout(() => this.#refresh(), REFRESH_MS + JITTER_MS * Math.random());
  }

  stop() {
    clearTimeout(this.#timer);
    this.#life.abort(new Error('the page was left'));
  }

  async #refresh() {
    if (document.visibilityState === 'visible') {
      try {
        this.#show(await api.listEvents({ signal: this.#life.signal, patienceMs: 0 }));
      } catch (error) {
        // What is shown stays; the next round asks again.
        if (error.name !== 'Problem' && !this.#life.signal.aborted) throw error;
      }
    }
    if (!this.#life.signal.aborted) this.start();
  }

  #show(events) {
    for (const event of events) {
      let card = this.#cards.get(event.id);
      if (!card) {
        card = new EventCard(event);
        this.#cards.set(event.id, card);
        this.#list.append(card.element);
      }
      card.update(event);
    }
    this.#empty.hidden = events.length > 0;
  }
}

class EventCard {
  element;

  #badge = el('span', { class: 'badge' });
  #left = el('strong', {});
  #parts = ['gone', 'available'].map((part) => el('span', { class: part }));

  constructor({ id, name, venue, starts_at: startsAt, capacity }) {
    this.element = el('li', { class: 'card', 'data-event': id },
      el('p', { class: 'tags' }, this.#badge),
      el('h2', {}, el('a', { href: `#/events/${encodeURIComponent(id)}` }, name)),
      el('p', { class: 'when' }, venue, venue && el('br'), date(startsAt)),
      el('p', { class: 'left-all' }, this.#left, ` left of ${count(capacity)}`),
      el('div', { class: 'bar', 'aria-hidden': 'true' }, this.#parts));
  }

  update({ sale, capacity, available }) {
    setText(this.#badge, available === 0 && sale === 'open' ? 'Sold out for now' : SALES[sale].badge);
    this.#badge.dataset.sale = sale;
    setText(this.#left, count(available));
    this.#parts[0].style.flexGrow = capacity - available;
    this.#parts[1].style.flexGrow = available;
  }
}
