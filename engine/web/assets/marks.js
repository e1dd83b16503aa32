// The seats that were refused, so that one finds them on the map. The refusal may
// be ahead of the feed: a seat stays marked until the feed has shown it taken and
// then free again.

import { AVAILABLE } from './layout.js';

export class Marks {
  #layouts;          // section id → Layout
  #seen = new Map(); // section id → Map of seat → whether the feed has shown it taken

  /** layouts: of the reserved sections, by their ids. */
  constructor(layouts) {
    this.#layouts = layouts;
  }

  /** Marks these seats of a section, in place of those before. */
  set(section, seats) {
    this.#seen.set(section, new Map(seats.map((seat) => [seat, false])));
  }

  has(section, seat) {
    return this.#seen.get(section)?.has(seat) ?? false;
  }

  clear() {
    this.#seen.clear();
  }

  /** Takes the marks from seats that have come back. */
  review(stock) {
    for (const [section, seats] of this.#seen) {
      const letters = stock.sections.get(section)?.seats;
      for (const [seat, wasTaken] of seats) {
        const free = letters?.[this.#layouts.get(section).offset(seat)] === AVAILABLE;
        if (!free) seats.set(seat, true);
        else if (wasTaken) seats.delete(seat);
      }
    }
  }
}
