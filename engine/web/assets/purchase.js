// One buyer's purchase of one event, from choosing to the tickets. No DOM: the
// panel shows it, the page feeds it.
//
//   choosing → holding → held → paying → ordered
//
// Whatever is about to be sent is written down first, with its Idempotency-Key:
// a reload in the middle of anything sends the same request again, and as the
// server gives one key one effect, finds out what became of it.

import * as api from './api.js';
import { until } from './clock.js';
import { newKey, Problem } from './http.js';
import { Bell, followOrder } from './order.js';

export const CHOOSING = 'choosing';   // nothing is claimed
export const RESTORING = 'restoring'; // looking for what an earlier visit held
export const HOLDING = 'holding';     // a hold is being asked for
export const HELD = 'held';           // .hold is ours until it expires
export const PAYING = 'paying';       // the checkout is being sent; .problem: it isn't known to have arrived
export const ORDERED = 'ordered';     // .order is accepted; .tickets once it is ticketed

const STALE_REQUEST_MS = 60_000; // a hold that was asked for longer ago than this isn't asked for again
const EXPIRY_GRACE_MS = 250;     // after the deadline, before asking the server whether it has passed
const HOLD_SLACK_MS = 2000;      // what the news of a deadline may differ by, for the time it travelled

/** Dispatches "change" whenever anything that it shows has changed. */
export class Purchase extends EventTarget {
  stage = CHOOSING;
  hold = null;
  order = null;
  tickets = [];
  problem = null; // the Problem to show, until the next step
  waitMs = 0;     // above 0: the server is busy, and is asked again after this long

  #event;
  #record = null; // what is written down: {stage, at, …}
  #life = new AbortController();
  #asking = null; // ends the request for a hold
  #expiry = 0;    // the timer of the hold's deadline
  #news = new Bell();
  #told = false;  // whether a feed is there that tells of the order

  constructor(event) {
    super();
    this.#event = event;
    this.#record = this.#read();
  }

  /** Goes on where an earlier visit stopped. If it can't find out, .problem says why, and it may be called again. */
  async restore() {
    const record = this.#record;
    if (record?.stage === HOLDING && Date.now() - record.at < STALE_REQUEST_MS) await this.#sendHold(record);
    else if (record?.stage === HELD) await this.#findHold(record.hold);
    else if (record?.stage === PAYING) await this.#sendCheckout(record);
    else if (record?.stage === ORDERED) await this.#findOrder(record.order);
  }

  /** Ends every request and timer. What is held stays held, and is found by restore. */
  stop() {
    this.#life.abort(new Error('the page was left'));
    clearTimeout(this.#expiry);
  }

  /** Asks for a hold of the lines. */
  async ask(lines) {
    await this.#sendHold(this.#keep({ stage: HOLDING, lines, key: newKey() }));
  }

  /** Stops asking for a hold. If one was given all the same, it expires by itself. */
  cancel() {
    this.#asking?.abort(new Error('the buyer stopped it'));
    this.#choose();
  }

  /** Gives the hold back. */
  async release() {
    await this.#attempt(this.#life.signal, async (options) => {
      await api.releaseHold(this.hold.id, options);
      this.#choose();
    }, (problem) => { if (hasEnded(problem)) this.#choose(problem); else this.problem = problem; });
  }

  /** Buys what is held. paymentToken is the provider's. */
  async pay(paymentToken) {
    const { id: hold, generation } = this.hold;
    await this.#sendCheckout(this.#keep({ stage: PAYING, hold, generation, paymentToken, key: newKey() }));
  }

  /** Sends a checkout again whose fate isn't known: the same request, so it can't charge twice. */
  async payAgain() {
    await this.#sendCheckout(this.#record);
  }

  /** Puts an ended order aside; the server keeps it. */
  finish() {
    this.#choose();
  }

  /** Shows a refusal that the page foresaw: the server would say the same. */
  warn(problem) {
    this.problem = problem;
    this.#change();
  }

  /** Takes in whether the feed is there. What it would have told while it wasn't is asked for. */
  listen(live) {
    if (live !== this.#told) this.#news.ring();
    this.#told = live;
  }

  /** Takes in the feed's news of an order. */
  hear(frame) {
    // While a payment is being asked for, the answer that names the order may come after the news of it.
    if (this.stage === PAYING || frame.order === this.order?.id) this.#news.ring();
  }

  /** Takes in the feed's news of a hold: if it isn't as we know it, the server is asked. */
  hearHold({ hold, state, ends_in_ms: endsInMs }) {
    if (this.stage !== HELD || hold !== this.hold.id) return;
    const moved = Math.abs(endsInMs - until(this.hold.expires_at)) > HOLD_SLACK_MS; // in another tab
    if (state !== 'held' || moved) this.#findHold(hold);
  }

  async #sendHold({ lines, key }) {
    this.#enter(HOLDING);
    this.#asking = new AbortController();
    await this.#attempt(AbortSignal.any([this.#life.signal, this.#asking.signal]), async (options) => {
      this.#own(await api.createHold(this.#event, lines, key, options));
    }, (problem) => this.#choose(problem));
  }

  async #findHold(id) {
    if (this.stage === CHOOSING) this.#enter(RESTORING);
    await this.#attempt(this.#life.signal, async (options) => {
      this.#own(await api.getHold(id, options));
    }, (problem) => {
      if (isDefinite(problem)) this.#choose(problem);
      else if (this.hold && until(this.hold.expires_at) === 0) this.#choose(new Problem({ code: 'hold_ended' }));
      else this.problem = problem;
    });
  }

  // own takes a hold as the server has it, whatever it has come to.
  #own(hold) {
    if (hold.state !== 'held') {
      const paid = hold.state === 'pinned' || hold.state === 'sold'; // in another tab
      this.#choose(new Problem({ code: paid ? 'hold_paid' : 'hold_ended' }));
      return;
    }
    this.hold = hold;
    this.#keep({ stage: HELD, hold: hold.id });
    this.#enter(HELD);
    clearTimeout(this.#expiry);
    this.#expiry = setTimeout(() => { if (this.stage === HELD) this.#findHold(hold.id); },
      until(hold.expires_at) + EXPIRY_GRACE_MS);
  }

  async #sendCheckout({ hold, generation, paymentToken, key }) {
    this.#enter(PAYING);
    await this.#attempt(this.#life.signal, async (options) => {
      await this.#follow(await api.checkout(hold, generation, paymentToken, key, options));
    }, async (problem) => {
      this.problem = problem; // not known to have arrived: payAgain asks
      if (!isDefinite(problem)) return;
      if (hasEnded(problem)) return this.#choose(problem);
      await this.#findHold(hold); // refused, and still held
      this.problem ??= problem;
    });
  }

  async #findOrder(id) {
    this.#enter(RESTORING);
    await this.#attempt(this.#life.signal, async (options) => {
      await this.#follow(await api.getOrder(id, options));
    }, (problem) => { if (isDefinite(problem)) this.#choose(problem); else this.problem = problem; });
  }

  async #follow(order) {
    clearTimeout(this.#expiry);
    this.#keep({ stage: ORDERED, order: order.id });
    this.order = order;
    this.hold = null;
    this.#enter(ORDERED);
    for await (const next of followOrder(order, this.#news, () => this.#told, this.#life.signal)) {
      this.order = next;
      this.#change();
    }
    if (this.order.state !== 'ticketed') return;
    await this.#attempt(this.#life.signal, async (options) => {
      // Nothing is at stake any more, so it may take as long as it takes.
      this.tickets = await api.listTickets(order.id, { ...options, patienceMs: Infinity });
    }, (problem) => { this.problem = problem; });
  }

  // attempt runs a step whose requests end with the signal. A refusal goes to
  // refused, an end is silent, anything else is a defect and is thrown.
  async #attempt(signal, step, refused) {
    const onWait = (waitMs) => { this.waitMs = waitMs; this.#change(); };
    try {
      await step({ signal, onWait });
    } catch (error) {
      if (signal.aborted) return;
      if (error.name !== 'Problem') throw error;
      await refused(error);
    }
    this.waitMs = 0;
    this.#change();
  }

  #choose(problem = null) {
    clearTimeout(this.#expiry);
    this.hold = this.order = null;
    this.tickets = [];
    this.#keep(null);
    this.#enter(CHOOSING, problem);
  }

  #enter(stage, problem = null) {
    this.stage = stage;
    this.problem = problem;
    this.waitMs = 0;
    this.#change();
  }

  #change() {
    this.dispatchEvent(new Event('change'));
  }

  #keep(record) {
    this.#record = record && { ...record, at: Date.now() };
    try {
      if (record) localStorage.setItem(this.#key, JSON.stringify(this.#record));
      else localStorage.removeItem(this.#key);
    } catch {
      // Storage is off or full: a reload will not find this purchase.
    }
    return this.#record;
  }

  #read() {
    try {
      return JSON.parse(localStorage.getItem(this.#key));
    } catch {
      return null; // unreadable is as good as absent
    }
  }

  get #key() {
    return `onsale.purchase.${this.#event}`;
  }
}

// isDefinite: the server has decided, as opposed to "try again" and "don't know".
function isDefinite({ status }) {
  return status >= 400 && status < 500 && status !== 429;
}

function hasEnded({ code }) {
  return code === 'hold_ended' || code === 'unknown_hold';
}
