// Folds the frames of a feed into the stock of one event, by the rules of
// onsale.v1. No DOM, no socket, no clock.
//
// The rules. The stock is at one (epoch, seq). A snapshot replaces it whole. A
// delta or a sale of the same epoch whose `from` is the stock's seq moves it to `seq`, which
// is the same number if the sale is "recovering", or isn't any more. Any other
// whose `seq` the stock has already is ignored. Anything else is a gap: the
// client asks to be led on, once, and passes over what doesn't fit until something does.

export const APPLIED = 'applied'; // the stock has changed
export const IGNORED = 'ignored'; // the stock has it already, can't use it, or it isn't about stock
export const GAP = 'gap';         // the stock is unchanged and behind: resume. Said once a gap

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export class Stock {
  known = false;        // false until the first snapshot
  behind = true;        // what fits is waited for: the first snapshot, or what ends a gap
  broken = false;       // the gap is a frame that fits and can't be applied: only a snapshot helps
  event = '';
  epoch = 0;
  seq = 0;
  at = '';              // RFC 3339: when the server's stock was like this
  sale = '';
  sections = new Map(); // id → {id, available, held, pinned, sold, seats}, in the event's order;
                        // seats: Uint8Array of letters, '|' after each row, empty in a general section

  /** Folds one frame in, and says what became of it. A frame is applied whole or not at all. */
  apply(frame) {
    if (frame.type === 'snapshot') return this.#replace(frame);
    if (frame.type === 'delta') return this.#advance(frame, Object.entries(frame.sections));
    if (frame.type === 'sale') return this.#advance(frame, []);
    return IGNORED;
  }

  /** A section's seats as the server writes them: a letter a seat, '|' after each row. */
  seatsText(id) {
    return decoder.decode(this.sections.get(id).seats);
  }

  #replace(snapshot) {
    this.sections = new Map(snapshot.sections.map((section) =>
      [section.id, { id: section.id, ...counts(section), seats: encoder.encode(section.seats ?? '') }]));
    this.known = true;
    this.event = snapshot.event;
    this.#move(snapshot);
    return APPLIED;
  }

  // advance moves the stock by changes: [section id, {counts, seats}], …
  #advance(frame, changes) {
    if (!this.known) return IGNORED;
    if (frame.epoch !== this.epoch || frame.from !== this.seq) {
      const known = frame.epoch === this.epoch && frame.seq <= this.seq;
      return known || this.behind ? IGNORED : this.#miss();
    }
    if (!this.#fits(changes)) {
      const verdict = this.behind ? IGNORED : this.#miss();
      this.broken = true;
      return verdict;
    }
    for (const [id, changed] of changes) {
      const section = this.sections.get(id);
      Object.assign(section, counts(changed));
      for (const [offset, letters] of changed.seats ?? []) section.seats.set(encoder.encode(letters), offset);
    }
    this.#move(frame);
    return APPLIED;
  }

  #miss() {
    this.behind = true;
    return GAP;
  }

  // fits: a delta about seats that we don't have means that our snapshot isn't
  // the one it was made for.
  #fits(changes) {
    return changes.every(([id, { seats = [] }]) => {
      const length = this.sections.get(id)?.seats.length;
      return length !== undefined && seats.every(([offset, letters]) => offset >= 0 && offset + letters.length <= length);
    });
  }

  #move(frame) {
    this.behind = this.broken = false;
    this.epoch = frame.epoch;
    this.seq = frame.seq;
    this.at = frame.at;
    this.sale = frame.sale;
  }
}

function counts({ available, held, pinned, sold }) {
  return { available, held, pinned, sold };
}
