// An order: how far it has come, and its tickets once it has them.

import { el, setText } from './element.js';
import { lineList } from './line_list.js';
import { capital, FINAL, money, seat } from './words.js';

const STEPS = [['accepted', 'Accepted'], ['claimed', 'Confirmed'], ['paid', 'Paid'], ['ticketed', 'Tickets']];

/** order: as the server has it. tickets: [] until they are there. */
export function orderView(order, tickets, nameOf) {
  return el('div', { class: 'order', 'data-order': order.id, 'data-state': order.state },
    steps(order.state),
    lineList(order.lines, nameOf),
    el('p', { class: 'total' }, el('span', {}, 'Total'), el('strong', {}, money(order.amount, order.currency))),
    tickets.length > 0 && ticketList(tickets, nameOf));
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

function ticketList(tickets, nameOf) {
  return el('ul', { class: 'tickets', 'aria-label': 'Tickets' }, tickets.map((ticket) => el('li', { class: 'ticket' },
    el('p', { class: 'ticket-place' }, el('strong', {}, nameOf(ticket.section)), ticket.seat ? capital(seat(ticket.seat)) : 'Any place'),
    el('p', { class: 'code' }, ticket.code),
    copyButton(ticket.code))));
}

// copyButton: the clipboard exists on https and localhost alone, and may be refused.
function copyButton(code) {
  if (!navigator.clipboard) return null;
  const button = el('button', { type: 'button', class: 'quiet', onclick: async () => {
    try {
      await navigator.clipboard.writeText(code);
      setText(button, 'Copied');
    } catch {
      setText(button, 'Please select and copy the code');
    }
  } }, 'Copy code');
  return button;
}
