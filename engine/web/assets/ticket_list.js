// The tickets of an order: what each admits to, its QR code for the gate, and a PDF of
// them all. Pictures are the buyer's alone, so they are fetched with their token and
// shown as blobs; an <img> by itself would send none.

import * as api from './api.js';
import { el, setText } from './element.js';
import { capital, seat } from './words.js';

// pictures are the object URLs of QR codes, by ticket code: the list is built anew whenever
// anything changes, and the pictures don't. There are as many as tickets were looked at.
const pictures = new Map();

/** tickets: at least one, all of the order. */
export function ticketList(order, tickets, nameOf) {
  return el('div', { class: 'order-tickets' },
    tickets.some((ticket) => ticket.code) && pdfButton(order),
    el('ul', { class: 'tickets', 'aria-label': 'Tickets' }, tickets.map((ticket) => entry(ticket, nameOf))));
}

function entry(ticket, nameOf) {
  const place = ticket.seat ? capital(seat(ticket.seat)) : 'Any place';
  return el('li', { class: 'ticket', 'data-ticket': ticket.id, 'data-state': ticket.state },
    el('p', { class: 'ticket-place' }, el('strong', {}, nameOf(ticket.section)), place),
    note(ticket) && el('p', { class: 'ticket-note' }, note(ticket)),
    ticket.code && picture(ticket, `QR code for the gate: ${nameOf(ticket.section)}, ${place}`),
    ticket.code && el('p', { class: 'code' }, ticket.code),
    ticket.code && copyButton(ticket.code));
}

// note is what a buyer must know of a ticket that isn't simply theirs to use.
function note(ticket) {
  if (ticket.state === 'void') return 'Refunded: this ticket admits nobody.';
  if (ticket.transferred) return 'You gave this ticket to someone else.';
  if (ticket.state === 'blocked') return 'A refund is under way: until it is decided, this ticket admits nobody.';
  if (ticket.admitted_at) return 'Used at the gate.';
  return '';
}

function picture(ticket, alt) {
  const image = el('img', { class: 'qr', alt, width: 208, height: 208 });
  if (!pictures.has(ticket.code)) pictures.set(ticket.code, api.ticketPicture(ticket.id).then(URL.createObjectURL));
  pictures.get(ticket.code).then((url) => { image.src = url; }, (error) => {
    pictures.delete(ticket.code);
    if (error.name !== 'Problem') throw error;
    image.replaceWith(el('p', { class: 'ticket-note' }, 'The QR code can not be shown right now. The code below says the same.'));
  });
  return image;
}

function pdfButton(order) {
  const button = el('button', { type: 'button', class: 'quiet', onclick: async () => {
    button.disabled = true;
    try {
      save(await api.ticketsPDF(order.id), `tickets-${order.event}.pdf`);
      setText(button, 'Save as PDF');
    } catch (error) {
      if (error.name !== 'Problem') throw error;
      setText(button, 'That did not work. Try again');
    } finally {
      button.disabled = false;
    }
  } }, 'Save as PDF');
  return button;
}

// save gives the browser a file as if it had been linked.
function save(blob, name) {
  const url = URL.createObjectURL(blob);
  el('a', { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000); // when it has been written for certain
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
