// Folds the frames of a feed into the stock of one event, by the rules of
// onsale.v1. No DOM, no socket, no clock: testdata/fold_cases.json drives it, and
// can drive a client in any other language.
//
// The rules. The stock is at one (epoch, seq). A snapshot replaces it whole. A
// delta of the same epoch whose `from` is the stock's seq moves it to `seq`, which
// is the same number if only the sale has changed, to "recovering" or back. Any other
// whose `seq` the stock has already is ignored. Anything else is a gap: the
// client asks for a snapshot with {"type":"resume"}, once, and passes over the
// deltas that come before it.

export const APPLIED = 'applied'; // the stock has changed
export const IGNORED = 'ignored'; // the stock has it already, can't use it, or it isn't about stock
export const GAP = 'gap';         // the stock is unchanged and behind: resume. Said once a gap

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export class Stock {
  known = false;        // false until the first snapshot
  behind = true;        // a snapshot is waited for: the first, or the one that ends a gap
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
    if (frame.type === 'delta') return this.#advance(frame);
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
    this.behind = false;
    this.event = snapshot.event;
    this.#move(snapshot);
    return APPLIED;
  }

  #advance(delta) {
    if (this.behind) return IGNORED;
    if (delta.epoch === this.epoch && delta.seq <= this.seq && delta.from !== this.seq) return IGNORED;
    if (delta.epoch !== this.epoch || delta.from !== this.seq || !this.#fits(delta)) {
      this.behind = true;
      return GAP;
    }
    for (const [id, changes] of Object.entries(delta.sections)) {
      const section = this.sections.get(id);
      Object.assign(section, counts(changes));
      for (const [offset, letters] of changes.seats ?? []) section.seats.set(encoder.encode(letters), offset);
    }
    this.#move(delta);
    return APPLIED;
  }

  // fits: a delta about seats that we don't have means that our snapshot isn't
  // the one it was made for.
  #fits(delta) {
    return Object.entries(delta.sections).every(([id, changes]) => {
      const length = this.sections.get(id)?.seats.length;
      return length !== undefined &&
        (changes.seats ?? []).every(([offset, letters]) => offset >= 0 && offset + letters.length <= length);
    });
  }

  #move(frame) {
    this.epoch = frame.epoch;
    this.seq = frame.seq;
    this.at = frame.at;
    this.sale = frame.sale;
  }
}

function counts({ available, held, pinned, sold }) {
  return { available, held, pinned, sold };
}
