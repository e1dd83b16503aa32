// Shows one purchase, stage by stage: what is chosen, what is held, what was
// ordered. It is rebuilt whenever the purchase or the selection changes, which is
// seldom; what changes by the second (the countdown) changes in place.

import { announce, el } from './element.js';
import { holdView } from './hold_view.js';
import { lineList } from './line_list.js';
import { orderView } from './order_view.js';
import { CHOOSING, HELD, HOLDING, ORDERED, PAYING, RESTORING } from './purchase.js';
import { count, declined, explain, FINAL, money, orderWords, SALES, tickets } from './words.js';

export class PurchasePanel {
  element = el('aside', { class: 'card panel', 'aria-label': 'Your tickets' });

  #event;
  #purchase;
  #selection;
  #sections;           // section id → section
  #sale;
  #shown = '';         // the stage and order state that is shown
  #stopView = () => {};
  #render = () => this.#show();
  #nameOf = (section) => this.#sections.get(section)?.name ?? section;

  constructor(event, purchase, selection) {
    this.#event = event;
    this.#purchase = purchase;
    this.#selection = selection;
    this.#sale = event.sale;
    this.#sections = new Map(event.sections.map((section) => [section.id, section]));
  }

  start() {
    this.#purchase.addEventListener('change', this.#render);
    this.#selection.addEventListener('change', this.#render);
    this.#show();
  }

  stop() {
    this.#purchase.removeEventListener('change', this.#render);
    this.#selection.removeEventListener('change', this.#render);
    this.#stopView();
  }

  /** Takes in what the sale is doing now. */
  setSale(sale) {
    if (sale === this.#sale) return;
    this.#sale = sale;
    if (this.#purchase.stage === CHOOSING) this.#show(); // what is held doesn't depend on it
  }

  #show() {
    const { stage, order } = this.#purchase;
    const shown = `${stage} ${order?.state ?? ''} ${order?.payment ?? ''}`;
    const moved = this.#shown !== '' && this.#shown !== shown;
    const hadFocus = this.element.contains(document.activeElement);
    this.#shown = shown;
    this.#stopView();
    this.#stopView = () => {};
    const [title, ...content] = this.#view(stage);
    const heading = el('h2', { tabindex: -1 }, title);
    this.element.dataset.stage = stage;
    this.element.classList.toggle('asking', stage === CHOOSING && this.#selection.total > 0);
    this.element.replaceChildren(heading, ...[this.#notice(), ...content].filter(Boolean));
    if (moved) announce(title);
    // The button that was pressed is gone: whoever goes by the keyboard goes on from the heading.
    if (hadFocus || (moved && stage === HELD)) heading.focus();
  }

  // view returns the title and the content of a stage.
  #view(stage) {
    switch (stage) {
      case RESTORING: return this.#restoring();
      case HOLDING: return ['Holding your tickets…', this.#waiting('We are asking for them.'),
        this.#button('Stop', 'quiet', () => this.#purchase.cancel())];
      case HELD: return this.#held();
      case PAYING: return this.#paying();
      case ORDERED: return this.#ordered();
      default: return this.#choosing();
    }
  }

  #choosing() {
    const { advice } = SALES[this.#sale];
    const total = this.#selection.total;
    if (advice) return ['Your tickets', el('p', {}, advice)];
    if (total === 0) {
      return ['Your tickets', el('p', {}, `Choose up to ${tickets(this.#selection.most)}. They are yours for ` +
        `${minutes(this.#event.hold_seconds)} once you hold them; you pay after that.`)];
    }
    const lines = this.#selection.lines();
    const amount = lines.reduce((sum, line) =>
      sum + this.#sections.get(line.section).price * (line.quantity ?? line.seats.length), 0);
    return [`${tickets(total)} chosen · ${money(amount, this.#event.currency)}`, lineList(lines, this.#nameOf),
      el('div', { class: 'actions' },
        this.#button(`Hold ${tickets(total)}`, 'primary', () => this.#purchase.ask(lines)),
        this.#button('Clear', 'quiet', () => this.#selection.clear()))];
  }

  #restoring() {
    if (!this.#purchase.problem) return ['Looking for your tickets…', this.#waiting('You held or bought some before.')];
    return ['Your tickets', this.#button('Try again', 'primary', () => this.#purchase.restore())];
  }

  #held() {
    const view = holdView(this.#purchase.hold, { nameOf: this.#nameOf,
      onPay: (paymentToken) => this.#purchase.pay(paymentToken), onRelease: () => this.#purchase.release() });
    this.#stopView = view.stop;
    return ['Held for you', view.element];
  }

  #paying() {
    if (!this.#purchase.problem) return ['Sending your order…', this.#waiting('Please stay here for a moment.')];
    return ['Your order', el('p', {}, 'We do not know yet whether your order arrived.'),
      this.#button('Ask again', 'primary', () => this.#purchase.payAgain())];
  }

  #ordered() {
    const { order, tickets: issued } = this.#purchase;
    const { title, advice } = orderWords(order);
    return [title, el('p', {}, advice + declined(order)), orderView(order, issued, this.#nameOf),
      FINAL.has(order.state) && this.#button(order.state === 'ticketed' ? 'Buy more' : 'Choose again', 'quiet',
        () => this.#purchase.finish())];
  }

  #waiting(text) {
    const { waitMs } = this.#purchase;
    return el('p', { class: 'waiting' }, waitMs > 0
      ? `Very busy right now. Trying again by itself in ${count(Math.ceil(waitMs / 1000))} s.` : text);
  }

  #notice() {
    if (!this.#purchase.problem) return null;
    const { title, advice } = explain(this.#purchase.problem, this.#nameOf);
    return el('div', { class: 'notice', role: 'alert', 'data-code': this.#purchase.problem.code },
      el('strong', {}, title), el('p', {}, advice));
  }

  #button(label, kind, onclick) {
    return el('button', { type: 'button', class: kind, onclick }, label);
  }
}

function minutes(seconds) {
  return seconds % 60 === 0 && seconds > 0 ? `${count(seconds / 60)} min` : `${count(seconds)} s`;
}
