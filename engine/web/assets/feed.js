// The reference client of the live feed (subprotocol onsale.v1). It keeps one
// event's Stock exactly as the server has it, through gaps, reconnects and
// restarts, and hears the news of the buyer's own orders.
//
// Every way of being out of step ends in the same place: a new snapshot. In step,
// the socket is silent or sends deltas. On a gap it asks to resume, once, and
// waits for the snapshot a bounded time. Without one, or without a socket, it
// connects anew after a random part of a growing delay, so that a hundred thousand
// clients of a server that restarts don't come back in the same second.

import { APPLIED, GAP, Stock } from './fold.js';

const PROTOCOL = 'onsale.v1';
const SNAPSHOT_WAIT_MS = 10_000;   // from asking until the snapshot must be there
const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 30_000;
const QUIET_LEAST_MS = 60_000;     // a browser can't see pings: after this long in silence, ask
const QUIET_HEARTBEATS = 3;
const UNAUTHENTICATED = 4401;      // close code: sign in again

export const CONNECTING = 'connecting'; // no snapshot yet
export const LIVE = 'live';             // the stock follows the server's
export const BEHIND = 'behind';         // the stock is what it last was

export class Feed {
  stock = new Stock();
  status = CONNECTING;
  resumes = 0; // how often a snapshot was asked for, for those who diagnose

  #config;
  #running = false;
  #told = null;         // the token that this connection has sent
  #socket = null;
  #timer = 0;       // reconnect, snapshot or silence: whichever is waited for
  #attempts = 0;    // connections since the last snapshot
  #quietMs = QUIET_LEAST_MS;
  #lookAgain = () => this.#wake();

  /**
   * config: url (ws: or wss:), and callbacks, all optional:
   *   token()         the buyer's token or null; sent when the feed opens
   *   renewToken()    the server refused the token; a promise of a new one, before reconnecting
   *   onStock(stock)  the stock has changed; the same object each time
   *   onStatus(text)  CONNECTING, LIVE or BEHIND
   *   onOrder(frame)  news of the buyer's own order: {order, hold, state, reason, at}
   *   onTime(text)    the server stated its time (RFC 3339)
   *   random()        0 ≤ x < 1, for the jitter; default Math.random
   */
  constructor(config) {
    this.#config = { random: Math.random, ...config };
  }

  /** Connects, and stays connected until stop. */
  start() {
    this.#running = true;
    addEventListener('online', this.#lookAgain);
    document.addEventListener('visibilitychange', this.#lookAgain);
    this.#connect();
  }

  /** Ends the feed: no callback is called after it. Twice is fine. */
  stop() {
    this.#running = false;
    removeEventListener('online', this.#lookAgain);
    document.removeEventListener('visibilitychange', this.#lookAgain);
    this.#disconnect();
  }

  /** Tells the server who is watching, unless it knows, so that it sends the news of their orders. */
  authenticate() {
    const token = this.#config.token?.();
    if (!token || token === this.#told || this.#socket?.readyState !== WebSocket.OPEN) return;
    this.#told = token;
    this.#send({ type: 'auth', token });
  }

  #connect() {
    this.#disconnect();
    this.#attempts++;
    const socket = new WebSocket(this.#config.url, PROTOCOL);
    this.#socket = socket;
    socket.onopen = () => this.authenticate();
    // A frame that can't be read throws, and is missed: the next delta finds the gap.
    socket.onmessage = (message) => this.#receive(JSON.parse(message.data));
    socket.onclose = (close) => this.#closed(close);
    this.#expect(SNAPSHOT_WAIT_MS, () => this.#reconnect());
  }

  #disconnect() {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = this.#told = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #receive(frame) {
    if (frame.type === 'hello') {
      this.#quietMs = Math.max(QUIET_LEAST_MS, QUIET_HEARTBEATS * frame.heartbeat_ms);
      this.#config.onTime?.(frame.server_time);
    } else if (frame.type === 'order') {
      this.#config.onOrder?.(frame);
    } else if (frame.type === 'snapshot' || frame.type === 'delta') {
      this.#fold(frame);
    }
  }

  #fold(frame) {
    const verdict = this.stock.apply(frame);
    if (verdict === GAP) this.#resume();
    if (verdict !== APPLIED) return;
    if (frame.type === 'snapshot') {
      this.#attempts = 0;
      this.#setStatus(LIVE);
    }
    if (this.status === LIVE) this.#expect(this.#quietMs, () => this.#resume());
    this.#config.onTime?.(frame.at);
    this.#config.onStock?.(this.stock);
  }

  #resume() {
    this.resumes++;
    this.#setStatus(BEHIND);
    this.#send({ type: 'resume' });
    this.#expect(SNAPSHOT_WAIT_MS, () => this.#reconnect());
  }

  async #closed({ code, reason }) {
    this.#socket = this.#told = null;
    clearTimeout(this.#timer);
    if (code === UNAUTHENTICATED) await this.#config.renewToken?.();
    if (this.#running && this.#socket === null) this.#reconnect(advised(reason));
  }

  // reconnect comes back after a random part of the time: the server's, if it said one.
  #reconnect(withinMs = FIRST_DELAY_MS * 2 ** this.#attempts) {
    this.#disconnect();
    this.#setStatus(this.stock.known ? BEHIND : CONNECTING);
    this.#expect(Math.min(LONGEST_DELAY_MS, withinMs) * this.#config.random(), () => this.#connect());
  }

  // wake: the machine slept or changed networks, so the socket may be dead and
  // not know it. A snapshot tells, whatever happened.
  #wake() {
    if (document.visibilityState !== 'visible') return;
    if (this.#socket === null) this.#connect();
    else if (this.status === LIVE && this.#socket.readyState === WebSocket.OPEN) this.#resume();
  }

  #expect(delayMs, then) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(then, delayMs);
  }

  #send(frame) {
    this.#socket.send(JSON.stringify(frame));
  }

  #setStatus(status) {
    if (this.status === status) return;
    this.status = status;
    this.#config.onStatus?.(status);
  }
}

// advised is the time that a closing server asks its clients to spread themselves
// over, or undefined: {"retry_within_ms":5000}, in the reason of close code 4503.
function advised(reason) {
  try {
    return JSON.parse(reason).retry_within_ms;
  } catch {
    return undefined; // no advice
  }
}
