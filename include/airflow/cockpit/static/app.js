// Starts the page that the address names, and tells how the connection is: live, late, or why not.

import { ROOT, get, poll } from "./api.js";
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
  const isLate = oldest !== null && Date.now() - oldest > LATE_AFTER_MS && !document.hidden;
  main.hidden = Boolean(failed) && oldest === null;
  main.classList.toggle("is-stale", Boolean(failed) && isLate);
  if (!failed) {
    fill(notices);
    fill(live, oldest === null ? "Connecting…" : h("span", { class: "badge is-ok" }, icon("ok"), "Live"));
    return;
  }
  const { error } = failed;
  const since = oldest === null ? "" : ` What is shown is ${duration(Math.round((Date.now() - oldest) / 1000))} old.`;
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
  // Whether there are buttons for actions; the server decides on each action itself.
  const me = get("me").catch(() => ({ name: null, can_act: false }));
  page.start({ main, me, watch });
  setInterval(() => {
    tickTimes(document);
    tell();
  }, 1000);
}

start();
