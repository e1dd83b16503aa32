// What the page says: money, dates, states and refusals in human words. A refusal
// is told by its code, never by the server's text, and says what to do next.

const LANGUAGE = document.documentElement.lang;
const number = new Intl.NumberFormat(LANGUAGE);
const dateTime = new Intl.DateTimeFormat(LANGUAGE,
  { weekday: 'short', day: 'numeric', month: 'long', year: 'numeric', hour: '2-digit', minute: '2-digit', timeZoneName: 'short' });

export const count = (n) => number.format(n);

export const date = (rfc3339) => dateTime.format(new Date(rfc3339));

/** An amount in minor units, as "€12.50". How many of those make a unit is the currency's own. */
export function money(minor, currency) {
  const format = new Intl.NumberFormat(LANGUAGE, { style: 'currency', currency });
  return format.format(minor / 10 ** format.resolvedOptions().maximumFractionDigits);
}

/** "1 ticket", "2 tickets". */
export const tickets = (n) => `${count(n)} ${n === 1 ? 'ticket' : 'tickets'}`;

/** Milliseconds as "1:05", rounded up: "0:00" is said only when it is over. */
export function clockFace(ms) {
  const seconds = Math.ceil(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

/** "ROW-NUMBER" as "row ROW, seat NUMBER". */
export function seat(name) {
  const [row, place] = name.split('-');
  return `row ${row}, seat ${place}`;
}

/** A text as the beginning of a sentence. */
export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** Many seats, row by row: "row A, seats 1, 2 and 5 and row B, seat 4". */
export function seats(names) {
  const rows = Map.groupBy(names, (name) => name.split('-')[0]);
  return list([...rows].map(([row, inRow]) => {
    const places = inRow.map((name) => Number(name.split('-')[1])).sort((a, b) => a - b).map(String);
    return `row ${row}, ${places.length === 1 ? 'seat' : 'seats'} ${list(places)}`;
  }));
}

/** "a", "a and b", "a, b and c". */
const list = (texts) => new Intl.ListFormat(LANGUAGE, { type: 'conjunction' }).format(texts);

/** A sale's state: what the badge says, and what a buyer who can't buy is told. */
export const SALES = {
  open: { badge: 'On sale', advice: '' },
  paused: { badge: 'Paused', advice: 'The sale is paused. This page goes on by itself; what you hold can still be paid.' },
  closed: { badge: 'Sale ended', advice: 'This sale has ended. Tickets that you bought are under My tickets.' },
  draft: { badge: 'Not yet on sale', advice: 'The sale has not begun. This page opens by itself when it does.' },
  recovering: { badge: 'One moment', advice: 'The sale is being checked and goes on in a moment. No ticket is lost.' },
};

/** An order's state: title, and what it means to the buyer. */
const ORDERS = {
  accepted: { title: 'Order accepted', advice: 'Your order is safe, whatever happens to this page. Confirming your tickets…' },
  claimed: { title: 'Tickets confirmed', advice: 'They are yours. Waiting for the payment…' },
  paid: { title: 'Payment received', advice: 'Issuing your tickets…' },
  ticketed: { title: 'You have your tickets', advice: 'They are kept under My tickets.' },
  rejected: { title: 'We could not sell you these tickets', advice: 'Someone else had them first. You were not charged. Please choose again.' },
  declined: { title: 'The payment was declined', advice: 'You were not charged, and the tickets are on sale again. Choose again, and pay with another card.' },
  refunded: { title: 'Your order was refunded', advice: 'The full amount goes back to your card.' },
};

/** What an order that waits for a failing payment provider says instead. */
const DELAYED = { title: 'Payment delayed',
  advice: 'Payments are slow right now. Your order is safe and you need do nothing: it is charged once, as soon as they work again.' };

/** An order in words: {title, advice}. */
export const orderWords = (order) => (order.payment === 'delayed' ? DELAYED : ORDERS[order.state]);

// Why an order was declined that no bank declined.
const DECLINES = {
  payment_timeout: ' Your bank did not answer in time.',
  provider_refused: ' The payment could not be made this way.',
  voided: ' The payment was called off.',
};

/** Why an order was declined, as a sentence to go on with; '' if nobody said. */
export function declined(order) {
  if (order.state !== 'declined' || !order.reason) return '';
  return DECLINES[order.reason] ?? ` The bank says: “${order.reason.replaceAll('_', ' ')}”.`;
}

export const FINAL = new Set(['ticketed', 'rejected', 'declined', 'refunded']);

/** A Problem in human words: {title, advice}. nameOf turns a section's id into its name. */
export function explain(problem, nameOf) {
  const section = problem.section ? nameOf(problem.section) : 'this section';
  const words = REFUSALS[problem.code] ?? REFUSALS.internal;
  const { title, advice } = words(problem, section);
  return { title, advice: problem.nearby?.length ? `${advice} ${nearby(problem.nearby, nameOf)}` : advice };
}

/** What a refusal offers instead. */
function nearby(offers, nameOf) {
  return `Still free a moment ago: ${list(offers.map((offer) => (offer.seats
    ? `${seats(offer.seats)} in ${nameOf(offer.section)}` : `${count(offer.available)} in ${nameOf(offer.section)}`)))}.`;
}

const REFUSALS = {
  seat_taken: (p, section) => ({
    title: p.seats.length > 1 ? 'Some of your seats have just been taken' : 'One of your seats has just been taken',
    advice: `Someone was quicker for ${seats(p.seats)} in ${section}; the map marks it with a cross. What else you chose is still chosen: add another seat, or hold the rest.`,
  }),
  sold_out: (p, section) => (p.available > 0
    ? { title: `Only ${count(p.available)} left in ${section}`, advice: 'Take fewer tickets, or choose another section.' }
    : { title: `Nothing is left in ${section}`, advice: 'Choose another section, or wait: what others hold and do not pay comes back here by itself.' }),
  not_together: (p, section) => ({
    title: `${section} has no seats left that are next to each other`,
    advice: `There are ${count(p.available)}, each by itself: take fewer, choose them on the map, or try another section.`,
  }),
  accessible_only: (p) => ({
    title: 'These are places for wheelchairs and their companions',
    advice: `${capital(seats(p.seats))} can be had from the box office by those who need them. Please choose others.`,
  }),
  buyer_limit: (p) => ({
    title: p.available > 0 ? `You can have ${tickets(p.available)} more` : 'You have as many tickets as one person may have',
    advice: 'Tickets that you hold or bought earlier count as well.',
  }),
  bad_quantity: (p) => ({
    title: p.available > 0 ? `Choose 1 to ${tickets(p.available)}` : 'Choose at least one ticket',
    advice: 'Change the number and try again.',
  }),
  not_on_sale: () => ({ title: 'The sale is not open right now', advice: 'This page goes on by itself when it opens again.' }),
  hold_pinned: () => ({ title: 'A payment is being decided', advice: 'These tickets can not be given back until it is. Wait a moment.' }),
  hold_ended: () => ({ title: 'Your time to pay is over', advice: 'The tickets went back on sale and you were not charged. You can choose again.' }),
  hold_paid: () => ({ title: 'You are paying for these already', advice: 'Look under My tickets: it was done in another window.' }),
  unknown_hold: () => ({ title: 'We can not find what you held', advice: 'It ended, or belongs to an earlier visit. You can choose again.' }),
  unknown_order: () => ({ title: 'We can not find that order', advice: 'It may belong to an earlier visit, or to another browser.' }),
  unknown_ticket: () => ({ title: 'We can not find that ticket', advice: 'It may be owned by someone else by now, or belong to another browser.' }),
  unknown_event: () => ({ title: 'There is no such event', advice: 'Look for it among the events.' }),
  unknown_section: () => ({ title: 'That section does not exist', advice: 'Reload this page and choose again.' }),
  unknown_seat: () => ({ title: 'That seat does not exist', advice: 'Reload this page and choose again.' }),
  overloaded: () => ({ title: 'Very many people are buying right now', advice: 'We tried for a while. Please try again: you will not be charged twice.' }),
  recovering: () => ({ title: 'The sale is being checked', advice: 'It goes on in a moment. Please try again: you will not be charged twice.' }),
  unavailable: () => ({ title: 'We can not reach the ticket office', advice: 'Please try again in a moment: you will not be charged twice.' }),
  unreachable: () => ({ title: 'No connection', advice: 'Check your network and try again: you will not be charged twice.' }),
  unauthenticated: () => ({ title: 'Your visit has expired', advice: 'Reload this page to start a new one.' }),
  internal: () => ({ title: 'Something went wrong on our side', advice: 'Please try again. If it stays so, reload this page.' }),
};
