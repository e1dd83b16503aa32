// One exchange with the server, tried until it has an answer. In a rush 503 is an
// everyday answer, and a lost connection leaves open whether the request arrived:
// both are tried again, under the same Idempotency-Key, so that however often it
// is sent it has one effect. Nothing here knows what a hold is.

import { observe } from './clock.js';

const TRY_TIMEOUT_MS = 15_000;     // one try; the server's own longest wait is 10 s
const FIRST_WAIT_MS = 400;         // between tries, doubling, unless the server says Retry-After
const LONGEST_WAIT_MS = 8_000;
const JITTER = 0.3;                // waits are longer by a random part of this
const AGAIN = new Set([429, 502, 503, 504]);

/** A refusal (RFC 9457), or an answer that never came: then status is 0 and code "unreachable". */
export class Problem extends Error {
  constructor(body) {
    super(body.detail || body.title || body.code);
    this.name = 'Problem';
    this.status = body.status ?? 0;
    this.code = body.code ?? 'internal';
    this.section = body.section ?? '';
    this.seats = body.seats ?? [];
    this.available = body.available ?? null;
    this.nearby = body.nearby ?? []; // [{section, available, seats}]: what could be had instead
    this.retryAfterMs = body.retryAfterMs ?? 0;
  }
}

/**
 * Sends a request until it is answered or patienceMs are over, and returns the
 * answer's JSON, null if it has none. Throws a Problem, or the signal's reason.
 *
 *   body     sent as JSON
 *   key      Idempotency-Key: the same for every try
 *   token    the buyer's
 *   blob     the answer is a file, returned as a Blob
 *   signal   ends the tries
 *   onWait   called before each further try with the milliseconds until it
 */
export async function exchange(method, path, { body, key, token, blob, signal, patienceMs = 20_000, onWait } = {}) {
  const end = performance.now() + patienceMs;
  for (let tries = 0; ; tries++) {
    try {
      return await attempt(method, path, { body, key, token, blob, signal });
    } catch (problem) {
      signal?.throwIfAborted();
      const waitMs = wait(problem, tries);
      if (!mayTryAgain(problem) || performance.now() + waitMs > end) throw problem;
      onWait?.(waitMs);
      await pause(waitMs, signal);
    }
  }
}

/** Resolves after the time; rejects with the signal's reason if that comes first. */
export function pause(delayMs, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(done, delayMs);
    signal?.addEventListener('abort', done, { once: true });
    function done() {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      if (signal?.aborted) reject(signal.reason);
      else resolve();
    }
  });
}

/** A fresh Idempotency-Key: 128 random bits. (crypto.randomUUID exists on https alone.) */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

async function attempt(method, path, { body, key, token, blob, signal }) {
  const headers = { Accept: blob ? '*/*' : 'application/json' };
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (key) headers['Idempotency-Key'] = key;
  if (token) headers.Authorization = `Bearer ${token}`;
  const limits = [AbortSignal.timeout(TRY_TIMEOUT_MS), signal].filter(Boolean);
  const options = { method, headers, body: body && JSON.stringify(body), signal: AbortSignal.any(limits) };
  let answer, file, text;
  try {
    answer = await fetch(path, options);
    if (blob && answer.ok) file = await answer.blob();
    else text = await answer.text();
  } catch (error) {
    throw new Problem({ code: 'unreachable', detail: error.message });
  }
  observe(answer.headers.get('Date'));
  if (!answer.ok) throw refusal(answer, text);
  if (file) return file;
  return text ? JSON.parse(text) : null;
}

function refusal(answer, text) {
  const retryAfterMs = 1000 * (Number(answer.headers.get('Retry-After')) || 0);
  if (!answer.headers.get('Content-Type')?.startsWith('application/problem+json')) {
    return new Problem({ status: answer.status, code: 'internal', retryAfterMs }); // from something in between
  }
  return new Problem({ ...JSON.parse(text), status: answer.status, retryAfterMs });
}

function mayTryAgain({ status, code }) {
  return code === 'unreachable' || AGAIN.has(status);
}

function wait({ retryAfterMs }, tries) {
  const least = retryAfterMs || Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** tries);
  return least * (1 + JITTER * Math.random());
}
