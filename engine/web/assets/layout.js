// Where each seat of a reserved section stands: in the section's seat string, as
// the feed has it, and in its name, as people and the API have it.

export const AVAILABLE = 'a'.charCodeAt(0);
export const SOLD = 's'.charCodeAt(0);

export class Layout {
  rows;       // [{id, seats, index, start}]: start is the offset of the first seat; best row first
  widest = 0; // seats in the longest row
  #byId;

  /** rows: [{id, seats}], of the event's section. */
  constructor(rows) {
    let start = 0;
    this.rows = rows.map(({ id, seats }, index) => {
      const row = { id, seats, index, start };
      start += seats + 1; // a '|' ends the row
      this.widest = Math.max(this.widest, seats);
      return row;
    });
    this.#byId = new Map(this.rows.map((row) => [row.id, row]));
  }

  /** The offset of seat "ROW-NUMBER" in the section's seat string. */
  offset(seat) {
    const [row, number] = seat.split('-');
    return this.#byId.get(row).start + Number(number) - 1;
  }

  /** The name of a row's seat, counted from 0. */
  seat(row, place) {
    return `${row.id}-${place + 1}`;
  }

  /** Seats of a row that are available in the seat string. */
  left(row, seats) {
    let sum = 0;
    for (let i = row.start; i < row.start + row.seats; i++) if (seats[i] === AVAILABLE) sum++;
    return sum;
  }
}
