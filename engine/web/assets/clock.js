// The server's clock, as well as a browser can know it. A buyer's own clock may
// be minutes off, and a countdown that runs on it sells a hold that has expired.
//
// Each time the server states is a lower bound: it was written before it was
// read. The greatest bound is the one that travelled fastest, so the best guess
// is simply the greatest offset seen. It runs on performance.now, which nobody
// sets back.

let offsetMs = null; // server's time less performance.now; null until the server stated one

/** Notes a time that the server has just stated: an RFC 3339 or HTTP date. Nonsense is ignored. */
export function observe(stated) {
  const bound = Date.parse(stated) - performance.now();
  if (Number.isFinite(bound) && (offsetMs === null || bound > offsetMs)) offsetMs = bound;
}

/** The server's time in milliseconds since 1970; the browser's own until the server stated one. */
export function now() {
  return offsetMs === null ? Date.now() : performance.now() + offsetMs;
}

/** Milliseconds until an RFC 3339 time, never below 0. */
export function until(time) {
  return Math.max(0, Date.parse(time) - now());
}
