// Starts the page that the URL names, and shows the state of the connection: live, stale, or the error.

import { ROOT, poll } from "./api.js";
import { icon, link, notice, tickTimes } from "./components.js";
import { fill, h } from "./dom.js";
import { duration } from "./format.js";

const PAGES = {
  overview: () => import("./pages/overview.js"),
  stream: () => import("./pages/stream.js"),
  quality: () => import("./pages/quality.js"),
  objectives: () => import("./pages/objectives.js"),
};
const LATE_AFTER_MS = 10_000;
const VISITOR_EVERY_MS = 10_000;

const main = document.getElementById("main");
const live = document.getElementById("live");
const notices = document.getElementById("notices");
const sources = [];

/** Return what the user can do about an API error. */
function remedy({ status }) {
  if (status === 401)
    return link(
      ROOT.href.replace(/shopstream\/$/, ""),
      "Sign in to Airflow in another tab; this page then continues automatically",
    );
  if (status === 403)
    return h("p", {}, "Ask an administrator of Airflow for a role that can read plugins, such as Viewer.");
  if (status === 503)
    return h(
      "p",
      {},
      "Files that arrive meanwhile are kept. Run ",
      h("code", {}, "make status"),
      " to see what is down.",
    );
  if (status === 0) return h("p", {}, "Run ", h("code", {}, "make status"), " to check whether Airflow is running.");
  return null;
}

function tell() {
  const failed = sources.find((source) => source.error);
  const known = sources.map((source) => source.at).filter((at) => at !== null);
  const oldest = known.length ? Math.min(...known) : null;
  const ageMs = oldest === null ? 0 : Date.now() - oldest;
  main.hidden = Boolean(failed) && oldest === null;
  main.classList.toggle("is-stale", Boolean(failed) && ageMs > LATE_AFTER_MS && !document.hidden);
  if (!failed) {
    fill(notices);
    fill(live, oldest === null ? "Connecting…" : h("span", { class: "badge is-ok" }, icon("ok"), "Live"));
    return;
  }
  const { error } = failed;
  // The age increases in steps, because screen readers announce each change.
  const steps = Math.floor(ageMs / LATE_AFTER_MS) * (LATE_AFTER_MS / 1000);
  const since = steps ? ` The data shown are more than ${duration(steps)} old.` : "";
  fill(live, h("span", { class: "badge is-bad" }, icon("bad"), "Not live"));
  const more = `${error.detail ?? ""}${since} Retrying automatically.`.trim();
  fill(notices, notice(oldest === null ? "bad" : "warn", error.title, more, remedy(error)));
}

/** Poll a resource, and call `show(data)` whenever it has changed. */
function watch(path, everyMs, show) {
  const source = { error: null, at: null };
  sources.push(source);
  const { now, stop } = poll(path, everyMs, show, (state) => {
    Object.assign(source, state);
    tell();
  });
  return {
    now,
    stop() {
      stop();
      // A resource that is no longer shown must not make the page look stale.
      sources.splice(sources.indexOf(source), 1);
    },
  };
}

async function start() {
  const name = location.pathname.slice(ROOT.pathname.length).replace(/\/$/, "") || "overview";
  document.querySelector(`nav [data-page="${name}"]`)?.setAttribute("aria-current", "page");
  const page = await PAGES[name]();
  document.title = `${page.title} · Shopstream`;
  // Resolves once it is known whether to show buttons for actions. The server checks every action itself.
  const me = new Promise((resolve) => watch("me", VISITOR_EVERY_MS, resolve));
  page.start({ main, me, watch });
  setInterval(() => {
    tickTimes(document);
    tell();
  }, 1000);
}

start();
