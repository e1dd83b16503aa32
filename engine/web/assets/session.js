// The guest's session: a signed token, made on first need, kept in localStorage so
// that a reload is the same buyer, and renewed when it has expired. A renewed
// guest is a new buyer: what the old one held is no longer theirs.

import { exchange } from './http.js';
import { now } from './clock.js';

const KEY = 'onsale.session';
const MARGIN_MS = 60_000; // a token that ends sooner than this isn't worth starting a purchase with

let pending = null; // the request for a new session that is under way, shared by all who need it
let made = null;    // the session that this page made, for browsers that keep nothing

/** The token, or null if there is none that is still good. No I/O. */
export function currentToken() {
  const session = read();
  return session && Date.parse(session.expires_at) - MARGIN_MS > now() ? session.token : null;
}

/** A promise of a good token, other than the refused one if given. Throws a Problem. */
export async function token(refused = null) {
  const current = currentToken();
  if (current && current !== refused) return current;
  pending ??= create().finally(() => { pending = null; });
  return pending;
}

async function create() {
  made = await exchange('POST', '/v1/sessions');
  try {
    localStorage.setItem(KEY, JSON.stringify(made));
  } catch {
    // Storage is off or full: the session lives as long as the page.
  }
  return made.token;
}

function read() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? made;
  } catch {
    return made; // unreadable is as good as absent
  }
}
