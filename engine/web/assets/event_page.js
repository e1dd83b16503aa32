// The page of one event: it brings together the feed (what is left), the selection
// (what is chosen), the purchase (what is ours), and shows them section by section.
// A rush may send many changes a second: they are drawn once a frame.

import * as api from './api.js';
import { observe } from './clock.js';
import { el, setText } from './element.js';
import { BEHIND, BINARY, CONNECTING, Feed, LIVE, TEXT } from './feed.js';
import { Problem } from './http.js';
import { AVAILABLE, Layout } from './layout.js';
import { Marks } from './marks.js';
import { CHOOSING, Purchase } from './purchase.js';
import { PurchasePanel } from './purchase_panel.js';
import { SectionCard } from './section_card.js';
import { Selection } from './selection.js';
import { currentToken, token } from './session.js';
import { count, date, SALES } from './words.js';

const LARGE_MAP = 2000; // seats, from which on frames are wanted small
const FEED_WORDS = { [CONNECTING]: 'Connecting…', [LIVE]: 'Live', [BEHIND]: 'Reconnecting…' };

/** Returns the page of an event: {element, title, start, stop}. Throws a Problem. */
export async function eventPage(id, signal) {
  return new EventPage(await api.getEvent(id, { signal }));
}

class EventPage {
  element;
  title;

  #event;
  #layouts;           // reserved section id → Layout
  #selection;
  #purchase;
  #panel;
  #feed;
  #cards = new Map(); // section id → SectionCard
  #marks;
  #badge = el('span', { class: 'badge' });
  #live = el('span', { class: 'live' });
  #left = el('strong', {}, '…');
  #frame = 0;         // the animation frame that will draw; 0 if none is due
  #refused = null;    // the refusal whose seats are marked
  #marking = false;   // the page itself changes the selection
  #changed = () => this.#draw();

  constructor(event) {
    this.#event = event;
    this.title = event.name;
    this.#layouts = new Map(event.sections.filter((section) => section.kind === 'reserved')
      .map((section) => [section.id, new Layout(section.rows)]));
    this.#selection = new Selection(event.max_per_buyer);
    this.#purchase = new Purchase(event.id);
    this.#marks = new Marks(this.#layouts);
    this.#panel = new PurchasePanel(event, this.#purchase, this.#selection);
    const seats = event.sections.reduce((sum, { kind, capacity }) => sum + (kind === 'reserved' ? capacity : 0), 0);
    this.#feed = new Feed({
      url: api.feedURL(event.id), protocols: seats > LARGE_MAP ? [BINARY, TEXT] : [TEXT],
      token: currentToken, renewToken: () => token(currentToken()), onTime: observe,
      onOrder: (frame) => this.#purchase.hear(frame), onHold: (frame) => this.#purchase.hearHold(frame),
      onStock: this.#changed,
      onStatus: (status) => { this.#purchase.listen(status === LIVE); this.#changed(); },
    });
    const context = { event, selection: this.#selection,
      isMine: (section, seat) => this.#isMine(section, seat),
      isMarked: (section, seat) => this.#marks.has(section, seat) };
    for (const section of event.sections) this.#cards.set(section.id, new SectionCard(section, context));
    this.element = this.#build();
  }

  start() {
    this.#selection.addEventListener('change', () => this.#selectionChanged());
    this.#purchase.addEventListener('change', () => this.#purchaseChanged());
    this.#panel.start();
    for (const card of this.#cards.values()) card.start();
    this.#feed.start();
    this.#draw();
    this.#purchase.restore();
  }

  stop() {
    this.#feed.stop();
    this.#purchase.stop();
    this.#panel.stop();
    for (const card of this.#cards.values()) card.stop();
    cancelAnimationFrame(this.#frame);
  }

  #build() {
    const { name, venue, starts_at: startsAt } = this.#event;
    return el('div', { class: 'event', 'data-event': this.#event.id },
      el('header', { class: 'event-head' },
        el('p', { class: 'tags' }, this.#badge, this.#live),
        el('h1', { tabindex: -1 }, name),
        el('p', { class: 'when' }, [venue, date(startsAt)].filter(Boolean).join(' · ')),
        el('p', { class: 'left-all' }, this.#left, ' left of ',
          count(this.#event.sections.reduce((sum, section) => sum + section.capacity, 0)))),
      el('div', { class: 'sections' }, [...this.#cards.values()].map((card) => card.element)),
      this.#panel.element);
  }

  #draw() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#paint();
    });
  }

  #paint() {
    const { stock, status } = this.#feed;
    const sale = stock.known ? stock.sale : this.#event.sale;
    const open = sale === 'open' && this.#purchase.stage === CHOOSING;
    this.#marks.review(stock);
    if (open && stock.known) this.#dropTaken(stock);
    setText(this.#badge, SALES[sale].badge);
    this.#badge.dataset.sale = sale;
    setText(this.#live, FEED_WORDS[status]);
    this.#live.dataset.status = status;
    this.element.dataset.seq = stock.seq;
    this.#panel.setSale(sale);
    let left = 0;
    for (const [id, card] of this.#cards) {
      const counts = stock.sections.get(id) ?? null;
      card.update(counts, open);
      left += counts?.available ?? 0;
    }
    if (stock.known) setText(this.#left, count(left));
  }

  // dropTaken takes seats out of the selection that somebody else has by now, so
  // that nobody asks for what can only be refused.
  #dropTaken(stock) {
    for (const { section, seats = [] } of this.#selection.lines()) {
      const letters = stock.sections.get(section).seats;
      const taken = seats.filter((seat) => letters[this.#layouts.get(section).offset(seat)] !== AVAILABLE);
      if (taken.length > 0) this.#purchase.warn(new Problem({ code: 'seat_taken', section, seats: taken }));
    }
  }

  #purchaseChanged() {
    const { stage, problem, hold } = this.#purchase;
    if (stage !== CHOOSING) {
      this.#marks.clear();
      this.#feed.authenticate(); // the session may be new
    }
    this.#feed.followHold(hold?.id ?? null);
    if (hold && this.#selection.total > 0) this.#selection.clear();
    if (problem?.code === 'seat_taken' && problem !== this.#refused) this.#mark(problem);
    this.#draw();
  }

  #mark(problem) {
    this.#refused = problem;
    this.#marking = true;
    this.#marks.set(problem.section, problem.seats);
    for (const seat of problem.seats) this.#selection.remove(problem.section, seat);
    this.#marking = false;
  }

  // A refusal is of what was chosen: who chooses anew has read it.
  #selectionChanged() {
    if (this.#purchase.problem && !this.#marking) this.#purchase.warn(null);
    this.#draw();
  }

  #isMine(section, seat) {
    const lines = (this.#purchase.hold ?? this.#purchase.order)?.lines ?? [];
    return lines.some((line) => line.section === section && line.seats?.includes(seat));
  }
}
