// A client of the cockpit's REST API: JSON, ETags, polling, and problem+json errors.

import { setServerTime } from "./format.js";

/** The URL at which the plugin is mounted, including any path prefix of Airflow. The pages are directly below it. */
export const ROOT = new URL(".", location.href);
const API = new URL("api/v1/", ROOT);
const TIMEOUT_MS = 15_000;
const FIRST_RETRY_MS = 1000;
const SLOWEST_MS = 30_000;

/** A failed request. `status` is 0 if the server did not respond; `title` and `detail` are for people. */
class ApiError extends Error {
  constructor(status, title, detail) {
    super(detail ? `${title}: ${detail}` : title);
    Object.assign(this, { status, title, detail });
  }
}

const TITLES = {
  0: "The server does not answer",
  401: "You are no longer signed in",
  403: "Your role does not allow this",
  404: "Not found",
};

async function send(path, options) {
  let response;
  try {
    response = await fetch(new URL(path, API), {
      credentials: "same-origin",
      // This module revalidates with ETags itself, so that an unchanged response causes no redraw.
      cache: "no-store",
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...options,
    });
  } catch (error) {
    const detail =
      error.name === "TimeoutError" ? `No response within ${TIMEOUT_MS / 1000} s.` : "The connection failed.";
    throw new ApiError(0, TITLES[0], detail);
  }
  if (response.ok || response.status === 304) return response;
  const problem = await response.json().catch(() => ({}));
  const title = problem.title ?? TITLES[response.status] ?? `The server answered ${response.status}`;
  throw new ApiError(response.status, title, typeof problem.detail === "string" ? problem.detail : "");
}

/** Read a resource once. */
export const get = async (path) => (await send(path, {})).json();

/** Send an action, and return the changed resource. */
export async function post(path, body) {
  // Other origins cannot send this header without a CORS preflight, so their forms cannot act in the user's name.
  const headers = { "Content-Type": "application/json", "X-Requested-With": "shopstream" };
  const response = await send(path, { method: "POST", headers, body: JSON.stringify(body) });
  return response.status === 204 ? null : response.json();
}

/**
 * Poll a resource: immediately, then every `everyMs`. Polling pauses while the page is hidden, and the interval doubles
 * after each failure, up to half a minute.
 *
 * Calls `onData(data)` for each response that differs from the previous one, and `onState({ error, at })` after each
 * attempt, where `at` is the time of the last successful response. Returns `{ now, stop }`: `now()` polls immediately,
 * `stop()` ends the polling.
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
        error = new ApiError(-1, "This page cannot display the response", String(problem));
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
