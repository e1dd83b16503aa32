// Follows one order to its end. The feed's news only says "look now": what is
// shown is always what the server answers, so lost, late and repeated news do no
// harm, and without a feed the order is looked at by the clock; with one, seldom.

import * as api from './api.js';
import { pause } from './http.js';
import { FINAL } from './words.js';

const FIRST_LOOK_MS = 1_000;
const RAREST_LOOK_MS = 5_000;
const GROWTH = 1.5;
const TOLD_LOOK_MS = 10_000; // while the feed would tell

// Orders only move forward, but an answer may have been overtaken by another.
const PROGRESS = ['accepted', 'claimed', 'paid', 'ticketed', 'rejected', 'declined', 'refunded'];

/** A bell that is heard once, also by one who wasn't listening when it rang. */
export class Bell {
  #rung = false;
  #wake = () => {};

  ring() {
    this.#rung = true;
    this.#wake();
  }

  /** Resolves when the bell has rung or after the time; rejects if the signal ends it first. */
  async wait(longestMs, signal) {
    if (!this.#rung) await Promise.race([pause(longestMs, signal), new Promise((wake) => { this.#wake = wake; })]);
    this.#rung = false;
  }
}

/**
 * Yields the order each time it has come further, or its payment is delayed or no longer, and ends when it is final.
 * news: a Bell; told(): whether a feed is there that would ring it.
 */
export async function* followOrder(order, news, told, signal) {
  for (let waitMs = FIRST_LOOK_MS; !FINAL.has(order.state); waitMs = Math.min(RAREST_LOOK_MS, waitMs * GROWTH)) {
    await news.wait(told() ? TOLD_LOOK_MS : waitMs, signal);
    const next = await look(order, signal);
    const further = PROGRESS.indexOf(next.state) - PROGRESS.indexOf(order.state);
    if (further > 0 || (further === 0 && next.payment !== order.payment)) {
      order = next;
      yield order;
    }
  }
}

// look: an accepted order is in the queue, and may not be readable yet; that and
// a busy server mean no more than "look again".
async function look(order, signal) {
  try {
    return await api.getOrder(order.id, { signal });
  } catch (error) {
    if (error.name !== 'Problem') throw error;
    return order;
  }
}
