// Reads the frames of onsale.v1 and of onsale.v1.bin into the same plain objects. The bytes
// are those of docs/feed.md. What can't be read throws a FrameError.

const VERSION = 1;
const SNAPSHOT = 1;
const DELTA = 2;
const SALE = 3;
const SALES = ['draft', 'open', 'paused', 'closed', 'recovering'];
const LETTERS = new TextEncoder().encode('ahpswc|');
const LETTER_BITS = 3;
const PACKED = 0; // the forms of a section's seats
const RUNS = 1;

const decoder = new TextDecoder();

export class FrameError extends Error {}

/** Reads a message of the socket: text, or an ArrayBuffer. sections: the ids of the event's, which a binary delta needs. */
export function readFrame(data, sections) {
  if (typeof data === 'string') return JSON.parse(data);
  const bytes = new Bytes(new Uint8Array(data));
  const frame = readBinary(bytes, sections);
  bytes.end();
  return frame;
}

function readBinary(bytes, sections) {
  const first = bytes.byte();
  if (first >> 4 !== VERSION) throw new FrameError(`a frame of version ${first >> 4}`);
  const head = { epoch: bytes.number(), seq: bytes.number(), at: bytes.time(), sale: pick(SALES, bytes.byte()) };
  switch (first & 15) {
    case SNAPSHOT: return { type: 'snapshot', event: bytes.text(), ...head, sections: list(bytes, readSection) };
    case DELTA: return { type: 'delta', ...head, from: readFrom(bytes, head), sections: readSections(bytes, sections) };
    case SALE: return { type: 'sale', ...head, from: readFrom(bytes, head) };
  }
  throw new FrameError(`a frame of kind ${first & 15}`);
}

function readFrom(bytes, { seq }) {
  const from = seq - bytes.number();
  if (from < 0) throw new FrameError('it comes from before the start');
  return from;
}

function readSection(bytes) {
  const section = { id: bytes.text(), ...readCounts(bytes) };
  const seats = readSeats(bytes);
  return seats === '' ? section : { ...section, seats };
}

function readCounts(bytes) {
  return { available: bytes.number(), held: bytes.number(), pinned: bytes.number(), sold: bytes.number() };
}

function readSeats(bytes) {
  const length = bytes.number();
  if (length === 0) return '';
  switch (bytes.byte()) {
    case PACKED: return bytes.letters(length);
    case RUNS: return readRunLengths(bytes, length);
  }
  throw new FrameError('seats in a form that is not known');
}

function readRunLengths(bytes, length) {
  const parts = [];
  for (let left = length; left > 0;) {
    const number = bytes.number();
    const run = Math.floor(number / 8) + 1;
    if (run > left) throw new FrameError('a run beyond the seats');
    parts.push(letter(number % 8).repeat(run));
    left -= run;
  }
  return parts.join('');
}

function readSections(bytes, ids) {
  const sections = {};
  let next = 0;
  for (let left = bytes.number(); left > 0; left--) {
    const index = next + bytes.number();
    sections[pick(ids, index)] = readChanges(bytes);
    next = index + 1;
  }
  return sections;
}

function readChanges(bytes) {
  const changes = readCounts(bytes);
  let next = 0;
  const seats = list(bytes, () => {
    const offset = next + bytes.number();
    const number = bytes.number(); // length·16 + uniform·8 + letter
    const length = Math.floor(number / 16);
    if (length === 0) throw new FrameError('a run of nothing');
    next = offset + length;
    return [offset, number & 8 ? letter(number % 8).repeat(length) : bytes.letters(length)];
  });
  return seats.length === 0 ? changes : { ...changes, seats };
}

function list(bytes, read) {
  const items = [];
  for (let left = bytes.number(); left > 0; left--) items.push(read(bytes));
  return items;
}

function pick(values, index) {
  if (values[index] === undefined) throw new FrameError(`there is no number ${index}`);
  return values[index];
}

function letter(number) {
  return String.fromCharCode(pick(LETTERS, number));
}

/** Bytes that are read from the front. */
class Bytes {
  #bytes;
  #at = 0;

  constructor(bytes) {
    this.#bytes = bytes;
  }

  end() {
    if (this.#at !== this.#bytes.length) throw new FrameError('there is more after its end');
  }

  byte() {
    return this.#take(1)[0];
  }

  /** A number of seven bits a byte, the lowest first. */
  number() {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.byte();
      value += (byte & 127) * scale;
      if (value > Number.MAX_SAFE_INTEGER) throw new FrameError('a number too large');
      if (byte < 128) return value;
    }
  }

  /** RFC 3339, of milliseconds since 1970 in zigzag. */
  time() {
    const number = this.number();
    return new Date(number % 2 === 1 ? -(number + 1) / 2 : number / 2).toISOString();
  }

  text() {
    return decoder.decode(this.#take(this.number()));
  }

  /** Letters of three bits, the first in the lowest. */
  letters(count) {
    const packed = this.#take(Math.ceil((count * LETTER_BITS) / 8));
    const out = new Uint8Array(count);
    let bits = 0;
    for (let i = 0, held = 0, next = 0; i < count; i++, held -= LETTER_BITS, bits >>= LETTER_BITS) {
      if (held < LETTER_BITS) {
        bits |= packed[next++] << held;
        held += 8;
      }
      out[i] = pick(LETTERS, bits & 7);
    }
    return decoder.decode(out);
  }

  #take(count) {
    if (this.#at + count > this.#bytes.length) throw new FrameError('it ends too soon');
    return this.#bytes.subarray(this.#at, this.#at += count);
  }
}
