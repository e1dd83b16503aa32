// What a client of the live feed does, through all of its connections, by the rules of onsale.v1. It
// knows nothing of sockets, time or pages. internal/feedclient/client.go is the same in
// another language; testdata/cases.json beside that one holds both to the rules.

import { APPLIED, GAP, IGNORED, Stock } from './fold.js';
import { readFrame } from './feed_frames.js';

export const TOLD = 'told'; // the verdict on news that isn't of the stock

const FIRST_DELAY_MS = 500; // within what time a client comes back that has no advice …
const LONGEST_DELAY_MS = 30_000; // … doubled with each connection that came to nothing, up to this
const UNAUTHENTICATED = 4401;    // close code: sign in again
const PERSONAL = new Set(['hello', 'queue', 'hold', 'order', 'bye']);

export class Client {
  stock = new Stock();

  #bye = null;   // the server's last word on this connection
  #attempts = 0; // connections since the last frame that was applied

  /** Begins a connection. Returns the query to put on the feed's URL, '' if a snapshot is needed anyway. */
  opened() {
    this.#bye = null;
    this.#attempts++;
    const { behind, epoch, seq } = this.stock;
    return behind ? '' : `epoch=${epoch}&seq=${seq}`;
  }

  /** Reads a message of the socket into a frame. Throws if it can't be read; it is then missed, and the next delta finds the gap. */
  read(data) {
    return readFrame(data, [...this.stock.sections.keys()]);
  }

  /** Takes a frame. Returns {verdict, request}: what became of it, and what to send now, null for nothing. */
  take(frame) {
    if (PERSONAL.has(frame.type)) {
      if (frame.type === 'bye') this.#bye = frame;
      return { verdict: TOLD, request: null };
    }
    const verdict = this.stock.apply(frame);
    if (verdict === APPLIED) this.#attempts = 0;
    return { verdict, request: verdict === GAP ? this.resume() : null };
  }

  /** What to send to be led on from where the stock stands. */
  resume() {
    const { known, broken, epoch, seq } = this.stock;
    return known && !broken ? { type: 'resume', epoch, seq } : { type: 'resume' };
  }

  /** Ends a connection. Returns {withinMs, signIn}: come back after a random part of that time, and sign in anew before. */
  closed(code) {
    const withinMs = this.#bye?.retry_within_ms ?? FIRST_DELAY_MS * 2 ** this.#attempts;
    return { withinMs: Math.min(LONGEST_DELAY_MS, withinMs), signIn: code === UNAUTHENTICATED };
  }
}

export { APPLIED, GAP, IGNORED };
