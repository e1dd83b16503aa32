// The lines of a selection, a hold or an order, as a list in words.

import { el } from './element.js';
import { seats, tickets } from './words.js';

/** lines: [{section, quantity, seats}]. nameOf turns a section's id into its name. */
export function lineList(lines, nameOf) {
  return el('ul', { class: 'lines' }, lines.map((line) => el('li', {},
    el('strong', {}, nameOf(line.section)), ' ',
    line.seats?.length ? seats(line.seats) : tickets(line.quantity))));
}
