// The live feed of an event, over a socket. What it does is the client's (feed_client.js); this gives it
// connections and time. So the stock is exactly the server's, through gaps, reconnects and
// restarts, and the buyer hears of their own holds and orders.
//
// In step, the socket is silent or sends deltas. On a gap the feed asks, once, and
// waits for what leads it on a bounded time. Without it, or without a socket, it
// connects anew after a random part of a growing delay, so that a hundred thousand
// clients of a server that restarts don't come back in the same second.

import { APPLIED, Client, GAP } from './feed_client.js';

export const TEXT = 'onsale.v1';
export const BINARY = 'onsale.v1.bin'; // the same, smaller
const ANSWER_WAIT_MS = 10_000;     // from asking until the first frame that applies must be there
const QUIET_LEAST_MS = 60_000;     // a browser can't see pings: after this long in silence, ask
const QUIET_HEARTBEATS = 2;
const LOST = 1006;                 // the code of a connection that nobody closed

export const CONNECTING = 'connecting'; // no snapshot yet
export const LIVE = 'live';             // the stock follows the server's
export const BEHIND = 'behind';         // the stock is what it last was

export class Feed {
  status = CONNECTING;
  resumes = 0; // how often it asked to be led on, for those who diagnose

  #client = new Client();
  #config;
  #running = false;
  #told = null;     // the token that this connection has sent
  #hold = null;     // the hold whose end is to be told
  #socket = null;
  #timer = 0;       // reconnect, answer or silence: whichever is waited for
  #quietMs = QUIET_LEAST_MS;
  #lookAgain = () => this.#wake();

  /**
   * config: url (ws: or wss:); protocols, the preferred one first, default [TEXT]; and callbacks, all optional:
   *   token()         the buyer's token or null; sent when the feed opens
   *   renewToken()    the server refused the token; a promise of a new one, before reconnecting
   *   onStock(stock)  the stock has changed; the same object each time
   *   onStatus(text)  CONNECTING, LIVE or BEHIND
   *   onOrder(frame)  news of the buyer's own order: {order, hold, state, reason, at}
   *   onHold(frame)   a hold that was named is about to end, or has ended: {hold, state, ends_in_ms, at}
   *   onQueue(frame)  the buyer's place in the queue: {event, position, pace_per_minute, at}
   *   onTime(text)    the server stated its time (RFC 3339)
   *   random()        0 ≤ x < 1, for the jitter; default Math.random
   */
  constructor(config) {
    this.#config = { random: Math.random, protocols: [TEXT], ...config };
  }

  /** The event's stock as this client sees it; the same object for as long as the feed lives. */
  get stock() {
    return this.#client.stock;
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

  /** Tells the server who is watching, unless it knows, so that it sends the news of their holds and orders. */
  authenticate() {
    const token = this.#config.token?.();
    if (!token || token === this.#told || this.#socket?.readyState !== WebSocket.OPEN) return;
    this.#told = token;
    this.#send({ type: 'auth', token });
    if (this.#hold) this.#send({ type: 'hold', hold: this.#hold });
  }

  /** Has the end of a hold of the buyer's told, through all connections; null for no hold. */
  followHold(hold) {
    if (hold === this.#hold) return;
    this.#hold = hold;
    if (hold && this.#told && this.#socket.readyState === WebSocket.OPEN) this.#send({ type: 'hold', hold });
  }

  #connect() {
    this.#disconnect();
    const query = this.#client.opened();
    const socket = new WebSocket(query ? `${this.#config.url}?${query}` : this.#config.url, this.#config.protocols);
    socket.binaryType = 'arraybuffer';
    this.#socket = socket;
    socket.onopen = () => this.authenticate();
    // A frame that can't be read throws, and is missed: the next delta finds the gap.
    socket.onmessage = (message) => this.#receive(this.#client.read(message.data));
    socket.onclose = (close) => this.#closed(close);
    this.#expect(ANSWER_WAIT_MS, () => this.#reconnect());
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
    const { verdict, request } = this.#client.take(frame);
    if (verdict === GAP) this.#ask(request);
    else if (verdict === APPLIED) this.#applied(frame);
    else if (frame.type === 'hello') this.#greeted(frame);
    else if (frame.type === 'order') this.#config.onOrder?.(frame);
    else if (frame.type === 'hold') this.#config.onHold?.(frame);
    else if (frame.type === 'queue') this.#config.onQueue?.(frame);
  }

  #greeted(hello) {
    this.#quietMs = Math.max(QUIET_LEAST_MS, QUIET_HEARTBEATS * hello.heartbeat_ms);
    this.#config.onTime?.(hello.server_time);
  }

  #applied(frame) {
    this.#setStatus(LIVE);
    this.#expect(this.#quietMs, () => this.#ask(this.#client.resume()));
    this.#config.onTime?.(frame.at);
    this.#config.onStock?.(this.stock);
  }

  #ask(request) {
    this.resumes++;
    this.#setStatus(BEHIND);
    this.#send(request);
    this.#expect(ANSWER_WAIT_MS, () => this.#reconnect());
  }

  async #closed({ code }) {
    this.#socket = this.#told = null;
    clearTimeout(this.#timer);
    const after = this.#client.closed(code);
    if (after.signIn) await this.#config.renewToken?.();
    if (this.#running && this.#socket === null) this.#reconnect(after);
  }

  // reconnect comes back after a random part of the time.
  #reconnect({ withinMs } = this.#client.closed(LOST)) {
    this.#disconnect();
    this.#setStatus(this.stock.known ? BEHIND : CONNECTING);
    this.#expect(withinMs * this.#config.random(), () => this.#connect());
  }

  // wake: the machine slept or changed networks, so the socket may be dead and
  // not know it. The answer tells, whatever happened.
  #wake() {
    if (document.visibilityState !== 'visible') return;
    if (this.#socket === null) this.#connect();
    else if (this.status === LIVE && this.#socket.readyState === WebSocket.OPEN) this.#ask(this.#client.resume());
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
