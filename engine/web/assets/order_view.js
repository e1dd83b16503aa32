// An order: how far it has come, and its tickets once it has them.

import { el } from './element.js';
import { lineList } from './line_list.js';
import { ticketList } from './ticket_list.js';
import { FINAL, money } from './words.js';

const STEPS = [['accepted', 'Accepted'], ['claimed', 'Confirmed'], ['paid', 'Paid'], ['ticketed', 'Tickets']];

/** order: as the server has it. tickets: [] until they are there. */
export function orderView(order, tickets, nameOf) {
  return el('div', { class: 'order', 'data-order': order.id, 'data-state': order.state },
    steps(order.state),
    lineList(order.lines, nameOf),
    el('p', { class: 'total' }, el('span', {}, 'Total'), el('strong', {}, money(order.amount, order.currency))),
    tickets.length > 0 && ticketList(order, tickets, nameOf));
}

// steps shows how far a purchase has come; one that ended otherwise has no steps to come.
function steps(state) {
  const reached = STEPS.findIndex(([step]) => step === state);
  if (reached < 0) return null;
  return el('ol', { class: 'steps' }, STEPS.map(([step, label], i) => {
    const current = i === reached && !FINAL.has(step);
    return el('li', { class: i <= reached ? 'done' : '', 'aria-current': current && 'step' }, label);
  }));
}
