// What a buyer has chosen and not yet asked for: quantities of general sections,
// seats of reserved ones or a quantity of their best, together no more than one buyer may have. It claims
// nothing: others may take the same seats, and the feed says so while one looks.

export class Selection extends EventTarget {
  most;                  // admissions one buyer may have
  #chosen = new Map();   // section id → quantity (a number) or seats (a Set of "ROW-NUMBER")

  constructor(most) {
    super();
    this.most = most;
  }

  /** Admissions chosen in all. */
  get total() {
    let sum = 0;
    for (const chosen of this.#chosen.values()) sum += size(chosen);
    return sum;
  }

  /** How many more may be chosen. */
  get room() {
    return this.most - this.total;
  }

  /** Admissions chosen in one section. */
  quantity(section) {
    return size(this.#chosen.get(section) ?? 0);
  }

  has(section, seat) {
    return this.#seats(section).has(seat);
  }

  /** Sets a section's quantity, as near to it as 0 and the room allow. Seats that were picked there are forgotten. */
  setQuantity(section, quantity) {
    const allowed = Math.max(0, Math.min(Math.trunc(quantity) || 0, this.quantity(section) + this.room));
    this.#set(section, allowed);
  }

  /** Adds a seat. False if there is no room for it. */
  add(section, seat) {
    if (this.has(section, seat)) return true;
    if (this.room < 1 && this.#seats(section).size === this.quantity(section)) return false;
    this.#set(section, new Set([...this.#seats(section), seat]));
    return true;
  }

  remove(section, seat) {
    const left = new Set(this.#seats(section));
    if (left.delete(seat)) this.#set(section, left);
  }

  clear() {
    this.#chosen.clear();
    this.dispatchEvent(new Event('change'));
  }

  /** The lines of a hold request: [{section, quantity}] and [{section, seats}]. */
  lines() {
    return [...this.#chosen].map(([section, chosen]) =>
      (chosen instanceof Set ? { section, seats: [...chosen] } : { section, quantity: chosen }));
  }

  #seats(section) {
    const chosen = this.#chosen.get(section);
    return chosen instanceof Set ? chosen : new Set();
  }

  #set(section, chosen) {
    if (size(chosen) === 0) this.#chosen.delete(section);
    else this.#chosen.set(section, chosen);
    this.dispatchEvent(new Event('change'));
  }
}

function size(chosen) {
  return chosen instanceof Set ? chosen.size : chosen;
}
