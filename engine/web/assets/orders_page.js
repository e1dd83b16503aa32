// The buyer's orders, newest first, with their tickets: what outlives a purchase.

import * as api from './api.js';
import { el } from './element.js';
import { orderView } from './order_view.js';
import { currentToken } from './session.js';
import { date, explain, money, orderWords } from './words.js';

/** Returns the page: {element, title, start, stop}. Throws a Problem. */
export async function ordersPage(signal) {
  const page = new OrdersPage();
  // Whoever has no session has no orders; asking would only make a session.
  if (currentToken()) await page.load(signal);
  return page;
}

class OrdersPage {
  title = 'My tickets';
  element;

  #list = el('ul', { class: 'orders' });
  #empty = el('p', {}, 'You have bought nothing yet in this browser.');
  #more = el('button', { type: 'button', hidden: true, onclick: () => this.#try(() => this.load(this.#life.signal)) },
    'Show older orders');
  #notice = el('p', { role: 'alert' });
  #cursor = '';
  #events = new Map(); // event id → event, of the orders that are shown
  #life = new AbortController();

  constructor() {
    this.element = el('div', {}, el('h1', { tabindex: -1 }, this.title), this.#empty, this.#list, this.#more, this.#notice);
  }

  start() {}

  stop() {
    this.#life.abort(new Error('the page was left'));
  }

  /** Adds the next page of orders. */
  async load(signal) {
    const { orders, next } = await api.listOrders(this.#cursor, { signal });
    const unknown = new Set(orders.map((order) => order.event).filter((event) => !this.#events.has(event)));
    await Promise.all([...unknown].map(async (event) => this.#events.set(event, await api.getEvent(event, { signal }))));
    this.#cursor = next ?? '';
    this.#more.hidden = !next;
    this.#empty.hidden ||= orders.length > 0;
    this.#list.append(...orders.map((order) => this.#entry(order)));
  }

  #entry(order) {
    const event = this.#events.get(order.event);
    const body = el('div', {});
    return el('li', { class: 'card', 'data-order': order.id },
      el('details', { ontoggle: () => this.#try(() => this.#fill(order, event, body)) },
        el('summary', {}, el('strong', {}, event.name),
          el('span', {}, `${orderWords(order).title} · ${money(order.amount, order.currency)}`)),
        el('p', { class: 'when' }, [event.venue, date(event.starts_at)].filter(Boolean).join(' · ')), body));
  }

  async #fill(order, event, body) {
    if (body.hasChildNodes()) return;
    const { signal } = this.#life;
    const [now, tickets] = await Promise.all([api.getOrder(order.id, { signal }), api.listTickets(order.id, { signal })]);
    const names = new Map(event.sections.map((section) => [section.id, section.name]));
    body.replaceChildren(orderView(now, tickets, (section) => names.get(section) ?? section));
  }

  async #try(step) {
    this.#notice.textContent = '';
    try {
      await step();
    } catch (error) {
      if (this.#life.signal.aborted) return;
      if (error.name !== 'Problem') throw error;
      const { title, advice } = explain(error, (section) => section);
      this.#notice.textContent = `${title}. ${advice}`;
    }
  }
}
