// The REST API of the cockpit, as any other client uses it: JSON, ETags, problem+json.

import { setServerTime } from "./format.js";

/** Where the plugin is mounted, whatever prefix Airflow has: the pages are directly below. */
export const ROOT = new URL(".", location.href);
const API = new URL("api/v1/", ROOT);
const TIMEOUT_MS = 15_000;
const FIRST_RETRY_MS = 1000;
const SLOWEST_MS = 30_000;

/** A request that failed. `status` is 0 when no answer came; `title` and `detail` are for people. */
class ApiError extends Error {
  constructor(status, title, detail) {
    super(detail ? `${title}: ${detail}` : title);
    Object.assign(this, { status, title, detail });
  }
}

const TITLES = {
  0: "The server does not answer",
  401: "You are not signed in any more",
  403: "Your role does not allow this",
  404: "There is no such thing",
};

async function send(path, options) {
  let response;
  try {
    response = await fetch(new URL(path, API), {
      credentials: "same-origin",
      // Validation is ours, so that an unchanged answer needs no drawing.
      cache: "no-store",
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...options,
    });
  } catch (error) {
    const detail =
      error.name === "TimeoutError" ? `No answer within ${TIMEOUT_MS / 1000} s.` : "The connection failed.";
    throw new ApiError(0, TITLES[0], detail);
  }
  if (response.ok || response.status === 304) return response;
  const problem = await response.json().catch(() => ({}));
  const title = problem.title ?? TITLES[response.status] ?? `The server answered ${response.status}`;
  throw new ApiError(response.status, title, typeof problem.detail === "string" ? problem.detail : "");
}

/** Read a resource once. */
export const get = async (path) => (await send(path, {})).json();

/** Change something; the answer is what became of it. */
export async function post(path, body) {
  // The header is one that no other origin can send without asking: a form elsewhere cannot act in our name.
  const headers = { "Content-Type": "application/json", "X-Requested-With": "shopstream" };
  const response = await send(path, { method: "POST", headers, body: JSON.stringify(body) });
  return response.status === 204 ? null : response.json();
}

/**
 * Read a resource again and again: at once, then every `everyMs`. Pauses while the page is hidden, and waits twice as long
 * after each failure (half a minute at most).
 *
 * `onData(data)` is called for each answer that differs from the one before, `onState({ error, at })` after each try; `at`
 * is when the last good answer came. Returns `{ now, stop }`: try at once, or never again.
 */
export function poll(path, everyMs, onData, onState) {
  let etag = null;
  let failures = 0;
  let at = null;
  let timer = null;
  let turn = 0;

  async function round() {
    clearTimeout(timer);
    const mine = ++turn;
    let error = null;
    try {
      const response = await send(path, { headers: etag ? { "If-None-Match": etag } : {} });
      const data = response.status === 304 ? null : await response.json();
      if (mine !== turn) return;
      const date = response.headers.get("Date");
      if (date) setServerTime(date);
      if (data !== null) {
        onData(data);
        etag = response.headers.get("ETag");
      }
      at = Date.now();
      failures = 0;
    } catch (problem) {
      if (mine !== turn) return;
      error = problem;
      if (!(problem instanceof ApiError)) {
        console.error(problem);
        error = new ApiError(-1, "This page cannot show the answer", String(problem));
      }
      failures += 1;
    }
    onState?.({ error, at });
    const pauseMs = failures ? Math.min(FIRST_RETRY_MS * 2 ** failures, SLOWEST_MS) : everyMs;
    if (!document.hidden) timer = setTimeout(round, pauseMs);
  }

  const onVisibility = () => (document.hidden ? clearTimeout(timer) : round());
  document.addEventListener("visibilitychange", onVisibility);
  round();
  return {
    now: round,
    stop() {
      turn += 1;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", onVisibility);
    },
  };
}
