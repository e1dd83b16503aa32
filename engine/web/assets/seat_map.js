// The seats of one section on a canvas. A hall may have 200,000 of them, more than
// any canvas could hold, so the canvas is only as large as the window that one
// looks through, stays in it while one scrolls, and draws what can be seen: the
// cost of a frame is bounded, however large the hall and however fast it sells.
//
// It is for eyes and pointers. Whoever uses neither has the lists of seat_list.js.

import { el } from './element.js';
import { AVAILABLE, SOLD } from './layout.js';

const LARGEST_CELL = 26; // CSS pixels a seat, with the gap around it
const SMALLEST_CELL = window.matchMedia('(pointer: coarse)').matches ? 24 : 14;
const LABEL_WIDTH = 34;  // for the row's name, at the left edge of what is seen
const TOP = 30;          // for the word "Stage"
const MARGIN = 10;

export class SeatMap {
  element;

  #layout;
  #look;
  #onPick;
  #canvas = el('canvas', { role: 'img' });
  #hall = el('div', {}, this.#canvas); // as large as all the seats; the canvas sticks to what is seen of it
  #cell = LARGEST_CELL;
  #centred = false; // a hall wider than its window begins in its middle, where the best seats are
  #frame = 0; // the animation frame that will draw; 0 if none is due
  #resized = new ResizeObserver(() => this.#fit());
  #scheme = window.matchMedia('(prefers-color-scheme: dark)');
  #redraw = () => this.draw();

  /**
   * layout: the section's. look(seat, offset) says how a seat looks: "available",
   * "held", "sold", "chosen", "mine" or "marked". onPick(seat) is called for the
   * seat that was pressed; onPoint(seat or null) for the one under the pointer.
   */
  constructor({ name, layout, look, onPick, onPoint }) {
    this.#layout = layout;
    this.#look = look;
    this.#onPick = onPick;
    this.#canvas.setAttribute('aria-label', `Seat map of ${name}. Every seat is in the lists below as well.`);
    this.element = el('div', { class: 'map', tabindex: 0, role: 'group', 'aria-label': `Seat map of ${name}`,
      onscroll: this.#redraw }, this.#hall);
    this.#canvas.addEventListener('click', (event) => this.#pick(event));
    this.#canvas.addEventListener('pointermove', (event) => {
      const seat = this.#seatAt(event);
      this.#canvas.classList.toggle('on-seat', seat !== null);
      onPoint(seat);
    });
    this.#canvas.addEventListener('pointerleave', () => onPoint(null));
  }

  start() {
    this.#resized.observe(this.element);
    this.#scheme.addEventListener('change', this.#redraw);
  }

  stop() {
    this.#resized.disconnect();
    this.#scheme.removeEventListener('change', this.#redraw);
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
  }

  /** Draws what can be seen, once before the next frame however often it is called. */
  draw() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#paint();
    });
  }

  // fit chooses the size of a seat so that the longest row fits, if it can.
  #fit() {
    const { rows, widest } = this.#layout;
    const room = this.element.clientWidth - 2 * LABEL_WIDTH;
    this.#cell = Math.max(SMALLEST_CELL, Math.min(LARGEST_CELL, Math.floor(room / widest)));
    const width = Math.max(this.element.clientWidth, widest * this.#cell + 2 * LABEL_WIDTH);
    const height = rows.length * this.#cell + TOP + MARGIN;
    this.#hall.style.width = `${width}px`;
    this.#hall.style.height = `${height}px`;
    if (!this.#centred) this.element.scrollLeft = (width - this.element.clientWidth) / 2;
    this.#centred = true;
    this.#size(this.element.clientWidth, this.element.clientHeight);
    this.draw();
  }

  #size(width, height) {
    const scale = window.devicePixelRatio;
    this.#canvas.width = Math.round(width * scale);
    this.#canvas.height = Math.round(height * scale);
    this.#canvas.style.width = `${width}px`;
    this.#canvas.style.height = `${height}px`;
  }

  #paint() {
    const { scrollTop, scrollLeft, clientWidth, clientHeight } = this.element;
    const context = this.#canvas.getContext('2d');
    const scale = window.devicePixelRatio;
    const colours = palette(this.element);
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, clientWidth, clientHeight);
    context.font = `600 11px ${getComputedStyle(this.element).fontFamily}`;
    context.textBaseline = 'middle';
    context.textAlign = 'center';
    context.fillStyle = colours.label;
    context.fillText('STAGE', this.#middle() - scrollLeft, TOP / 2 - scrollTop);

    const first = Math.max(0, Math.floor((scrollTop - TOP) / this.#cell));
    const last = Math.min(this.#layout.rows.length, Math.ceil((scrollTop + clientHeight - TOP) / this.#cell));
    for (const row of this.#layout.rows.slice(first, last)) this.#paintRow(context, row, colours);
  }

  #paintRow(context, row, colours) {
    const { scrollTop, scrollLeft, clientWidth } = this.element;
    const y = this.#top(row) + this.#cell / 2 - scrollTop;
    const left = this.#left(row) - scrollLeft;
    const from = Math.max(0, Math.floor(-left / this.#cell));
    const to = Math.min(row.seats, Math.ceil((clientWidth - left) / this.#cell));
    for (let place = from; place < to; place++) {
      const look = this.#look(this.#layout.seat(row, place), row.start + place);
      paintSeat(context, left + (place + 0.5) * this.#cell, y, this.#cell / 2, look, colours);
    }
    context.fillStyle = colours.surface;
    context.fillRect(0, y - this.#cell / 2, LABEL_WIDTH - 6, this.#cell);
    context.fillStyle = colours.label;
    context.fillText(row.id, (LABEL_WIDTH - 6) / 2, y);
  }

  #pick(event) {
    const seat = this.#seatAt(event);
    if (seat !== null) this.#onPick(seat);
  }

  #seatAt({ offsetX, offsetY }) {
    const y = offsetY + this.element.scrollTop - TOP;
    const row = this.#layout.rows[Math.floor(y / this.#cell)];
    if (!row || y < 0 || offsetX < LABEL_WIDTH - 6) return null;
    const place = Math.floor((offsetX + this.element.scrollLeft - this.#left(row)) / this.#cell);
    return place >= 0 && place < row.seats ? this.#layout.seat(row, place) : null;
  }

  #middle() {
    return parseFloat(this.#hall.style.width) / 2;
  }

  #left(row) {
    return Math.round(this.#middle() - row.seats * this.#cell / 2);
  }

  #top(row) {
    return TOP + row.index * this.#cell;
  }
}

/** How a seat looks by its letter, to someone with nothing chosen. */
export function lookOf(letter) {
  if (letter === AVAILABLE) return 'available';
  return letter === SOLD ? 'sold' : 'held'; // pinned: someone else's just the same
}

// Each look has a shape of its own, so that nobody depends on the colours.
function paintSeat(context, x, y, half, look, colours) {
  const radius = half * 0.74;
  context.fillStyle = context.strokeStyle = colours[look];
  context.lineWidth = Math.max(1.5, half / 5);
  switch (look) {
    case 'available':
      disc(context, x, y, radius).fill();
      break;
    case 'held':
      disc(context, x, y, radius - context.lineWidth / 2).stroke();
      break;
    case 'sold':
      disc(context, x, y, radius * 0.4).fill();
      break;
    case 'marked':
      cross(context, x, y, radius * 0.8).stroke();
      break;
    default: // chosen and mine: a disc with a tick
      disc(context, x, y, half * 0.96).fill();
      context.strokeStyle = colours.surface;
      tick(context, x, y, half * 0.45).stroke();
  }
}

function disc(context, x, y, radius) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  return context;
}

function cross(context, x, y, r) {
  context.beginPath();
  context.moveTo(x - r, y - r);
  context.lineTo(x + r, y + r);
  context.moveTo(x + r, y - r);
  context.lineTo(x - r, y + r);
  return context;
}

function tick(context, x, y, r) {
  context.beginPath();
  context.moveTo(x - r, y);
  context.lineTo(x - r / 4, y + 0.8 * r);
  context.lineTo(x + r, y - 0.8 * r);
  return context;
}

function palette(element) {
  const style = getComputedStyle(element);
  const colour = (name) => style.getPropertyValue(name);
  return { available: colour('--available'), held: colour('--held'), sold: colour('--sold'), chosen: colour('--accent'),
    mine: colour('--accent'), marked: colour('--bad'), label: colour('--muted'), surface: colour('--surface') };
}
