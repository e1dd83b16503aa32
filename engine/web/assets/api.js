// The server's operations that a buyer's page uses, by the names of the API's
// description. What needs a buyer signs in first, and once more if the token is
// refused. Every function throws a Problem; options are those of exchange.

import { exchange } from './http.js';
import { token } from './session.js';

const PATIENCE_MS = 120_000; // what may hold tickets or money is worth waiting for

export const listEvents = async (options) => (await exchange('GET', '/v1/events', options)).events;

export const getEvent = (event, options) => exchange('GET', `/v1/events/${encodeURIComponent(event)}`, options);

/** lines: [{section, quantity}] or [{section, seats}]. A repeat under the same key is the same hold. */
export const createHold = (event, lines, key, options) => asBuyer('POST',
  `/v1/events/${encodeURIComponent(event)}/holds`, { patienceMs: PATIENCE_MS, ...options, key, body: { lines } });

export const getHold = (hold, options) => asBuyer('GET', `/v1/holds/${encodeURIComponent(hold)}`, options);

export const releaseHold = (hold, options) => asBuyer('DELETE', `/v1/holds/${encodeURIComponent(hold)}`, options);

/** Returns the order. A hold becomes one order at the most: a repeat is the same one. */
export const checkout = (hold, generation, paymentToken, key, options) => asBuyer('POST',
  `/v1/holds/${encodeURIComponent(hold)}/checkout`,
  { patienceMs: PATIENCE_MS, ...options, key, body: { payment_token: paymentToken, generation } });

export const getOrder = (order, options) => asBuyer('GET', `/v1/orders/${encodeURIComponent(order)}`, options);

/** Returns {orders, next}, newest first. cursor: `next` of the page before. */
export const listOrders = (cursor, options) => asBuyer('GET',
  `/v1/orders${cursor ? `?cursor=${encodeURIComponent(cursor)}` : ''}`, options);

export const listTickets = async (order, options) => (await asBuyer('GET',
  `/v1/orders/${encodeURIComponent(order)}/tickets`, options)).tickets;

/** The QR code of a ticket, as a Blob. */
export const ticketPicture = (ticket, options) => asBuyer('GET',
  `/v1/tickets/${encodeURIComponent(ticket)}/qr.svg`, { ...options, blob: true });

/** The tickets of an order to print, as a Blob. */
export const ticketsPDF = (order, options) => asBuyer('GET',
  `/v1/orders/${encodeURIComponent(order)}/tickets.pdf`, { ...options, blob: true });

/** Where an event's live feed is. */
export function feedURL(event) {
  const url = new URL(`/v1/events/${encodeURIComponent(event)}/live`, location.href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return url.href;
}

async function asBuyer(method, path, options = {}) {
  const first = await token();
  try {
    return await exchange(method, path, { ...options, token: first });
  } catch (problem) {
    if (problem.status !== 401) throw problem;
    return exchange(method, path, { ...options, token: await token(first) });
  }
}
