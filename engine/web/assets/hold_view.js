// What a buyer holds: the time that is left, by the server's clock, and the two
// ways on: pay, or give it back.

import { until } from './clock.js';
import { announce, el, setText } from './element.js';
import { lineList } from './line_list.js';
import { clockFace, money } from './words.js';

const TICK_MS = 250;
const HURRY_MS = 30_000;                  // from here on the countdown looks urgent
const SPOKEN_MS = [60_000, 30_000, 10_000]; // when it is said aloud: every second would drown all else

// The payment simulator's tokens, by what its provider then does.
const CARDS = [
  ['tok_ok', 'Test card: pays'],
  ['tok_decline', 'Test card: is declined'],
  ['tok_delay_4000', 'Test card: pays, slowly'],
  ['tok_broken', 'Test card: pays, but its answer gets lost'],
];

/** Returns {element, stop}. onPay(paymentToken) and onRelease() are called at most once. */
export function holdView(hold, { nameOf, onPay, onRelease }) {
  const clock = el('span', { class: 'clock', role: 'timer' });
  const cards = CARDS.map(([token, label], i) => el('label', { class: 'card-choice' },
    el('input', { type: 'radio', name: 'card', value: token, checked: i === 0 }), label));
  const pay = el('button', { type: 'submit', class: 'primary' }, `Pay ${money(hold.amount, hold.currency)}`);
  const release = el('button', { type: 'button', class: 'quiet', onclick: () => { disable(); onRelease(); } }, 'Give them back');
  const disable = () => { pay.disabled = release.disabled = true; };
  const form = el('form', { onsubmit: (event) => {
    event.preventDefault();
    const token = new FormData(form).get('card');
    disable();
    onPay(token);
  } }, el('fieldset', {}, el('legend', {}, 'Pay with'), cards,
    el('p', { class: 'small' }, 'Test cards only: no money moves.')),
  el('div', { class: 'actions' }, pay, release));

  const stop = countDown(hold.expires_at, clock);
  return {
    stop,
    element: el('div', {},
      el('p', { class: 'countdown' }, 'Yours for ', clock),
      lineList(hold.lines, nameOf), form),
  };
}

function countDown(expiresAt, clock) {
  let before = Infinity;
  const tick = () => {
    const left = until(expiresAt);
    setText(clock, clockFace(left));
    clock.classList.toggle('hurry', left <= HURRY_MS);
    const spoken = SPOKEN_MS.find((mark) => left <= mark && before > mark && before !== Infinity);
    if (spoken) announce(`${spoken / 1000} seconds left to pay.`);
    before = left;
  };
  tick();
  const timer = setInterval(tick, TICK_MS);
  return () => clearInterval(timer);
}
