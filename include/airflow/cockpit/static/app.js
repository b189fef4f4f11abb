// Starts the page that the address names, and tells how the connection is: live, late, or why not.

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

/** What can be done about an error of the API. */
function remedy({ status }) {
  if (status === 401)
    return link(
      ROOT.href.replace(/shopstream\/$/, ""),
      "Sign in to Airflow in another tab; this page then goes on by itself",
    );
  if (status === 403)
    return h("p", {}, "Ask an administrator of Airflow for a role that may see plugins, such as Viewer.");
  if (status === 503)
    return h(
      "p",
      {},
      "The stream keeps the files that arrive meanwhile. ",
      h("code", {}, "make status"),
      " tells what is down.",
    );
  if (status === 0) return h("p", {}, "Is Airflow up? ", h("code", {}, "make status"), " tells.");
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
  // In steps, since screen readers read each change aloud.
  const steps = Math.floor(ageMs / LATE_AFTER_MS) * (LATE_AFTER_MS / 1000);
  const since = steps ? ` What is shown is more than ${duration(steps)} old.` : "";
  fill(live, h("span", { class: "badge is-bad" }, icon("bad"), "Not live"));
  const more = `${error.detail ?? ""}${since} Trying again by itself.`.trim();
  fill(notices, notice(oldest === null ? "bad" : "warn", error.title, more, remedy(error)));
}

/** Keep a resource in sight: `show(data)` whenever it has changed. */
function watch(path, everyMs, show) {
  const source = { error: null, at: null };
  sources.push(source);
  return poll(path, everyMs, show, (state) => {
    Object.assign(source, state);
    tell();
  });
}

async function start() {
  const name = location.pathname.slice(ROOT.pathname.length).replace(/\/$/, "") || "overview";
  document.querySelector(`nav [data-page="${name}"]`)?.setAttribute("aria-current", "page");
  const page = await PAGES[name]();
  document.title = `${page.title} · Shopstream`;
  // Whether there are buttons for actions, as soon as that is known; the server decides on each action itself.
  const me = new Promise((resolve) => watch("me", VISITOR_EVERY_MS, resolve));
  page.start({ main, me, watch });
  setInterval(() => {
    tickTimes(document);
    tell();
  }, 1000);
}

start();
