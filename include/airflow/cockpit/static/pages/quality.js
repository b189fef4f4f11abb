// The quality page: suites and their history, failing ones first; views and restatements.

import { get } from "../api.js";
import { badge, button, card, empty, fold, table, verdictOf, when } from "../components.js";
import { fill, h } from "../dom.js";
import { difference } from "../figures.js";
import { count, duration, plural } from "../format.js";
import { longList } from "../long-list.js";
import { trend } from "../marks.js";
import { logOf } from "../restated.js";
import { results } from "./checks.js";
import { decided, offer, offerAll } from "./publication.js";

export const title = "Quality";

const EVERY_MS = 5000;
const EARLIER_RUNS = 20;
const RESTATEMENTS = 20;
const SCOPES = {
  window: "rows loaded since the last good run",
  full: "all rows",
  candidate: "a view before publication",
};

export function start({ main, me, watch }) {
  const lead = h("div", { class: "lead", role: "status" }, h("h1", {}, title));
  const suites = h("div");
  const views = h("div");
  const restated = h("div");
  main.append(lead, ...runAskedFor(), suites, views, restated);

  const details = new Map(); // by quality_run_id: the results of a run never change
  const opened = new Set(); // suites that the user opened
  const histories = new Map(); // by suite: the element with its earlier runs, and the last run when it was filled
  let latest = [];

  async function fetchDetails() {
    const wanted = latest.filter(
      ({ suite, last }) => (isBad(last) || opened.has(suite)) && !details.has(last.quality_run_id),
    );
    await Promise.all(
      wanted.map(async ({ last }) => {
        try {
          details.set(last.quality_run_id, await get(`quality/runs/${last.quality_run_id}`));
        } catch (error) {
          details.set(last.quality_run_id, { error: error.message, results: [] });
        }
      }),
    );
    if (wanted.length) draw();
  }

  function onToggle(suite, isOpen) {
    opened[isOpen ? "add" : "delete"](suite);
    fetchDetails();
  }

  function onHistory(name, place) {
    histories.set(name, { place, run: latest.find((one) => one.suite === name)?.last.quality_run_id });
    history(place, name);
  }

  function refreshHistories() {
    for (const { suite: name, last } of latest) {
      const shown = histories.get(name);
      if (shown && shown.run !== last.quality_run_id) onHistory(name, shown.place);
    }
  }

  function draw() {
    const unknown = latest.reduce((sum, { last }) => sum + last.not_judged, 0);
    const failing = latest.filter(({ last }) => ["failed", "broken"].includes(last.verdict)).length;
    const warned = latest.filter(({ last }) => last.verdict === "warned").length;
    const summary = [
      failing > 0 && badge("bad", `${plural(failing, "suite")} failing`),
      warned > 0 && badge("warn", `${plural(warned, "suite")} with warnings`),
      latest.length > 0 &&
        failing + warned === 0 &&
        badge(unknown ? "idle" : "ok", `no failed checks in ${plural(latest.length, "suite")}`),
      unknown > 0 && badge("idle", `${plural(unknown, "check")} not judged`),
    ];
    fill(lead, h("h1", {}, title), summary);
    fill(
      suites,
      card(
        "Suites",
        { side: "failing first; each mark is a run, newest on the right" },
        latest.length === 0
          ? empty("No suite has run yet. The DAG check_quality runs them every ten minutes.")
          : h(
              "div",
              { class: "rows" },
              latest.map((one) => suite(one, details.get(one.last.quality_run_id), onToggle, onHistory)),
            ),
      ),
    );
  }

  watch("quality/suites", EVERY_MS, (data) => {
    latest = data;
    draw();
    fetchDetails();
    refreshHistories();
  });
  const day = dayAskedFor();
  const log = longList(watch, `restatements?limit=${RESTATEMENTS}${day && `&day=${day}`}`, EVERY_MS, (page) => {
    const isFirst = !restated.firstChild;
    fill(restated, restatements(page, day, () => log.more()));
    if (isFirst && location.hash === "#restated") restated.scrollIntoView();
  });
  let held = null;
  let canAct = false;
  const drawViews = () => held && fill(views, published(held, canAct, () => shown.now()));
  const shown = watch("views", EVERY_MS, (data) => {
    held = data;
    drawViews();
  });
  me.then((visitor) => {
    canAct = visitor.can_act;
    drawViews();
  });
}

/** Return the day in the URL to which the restatements are limited; empty for all days. */
function dayAskedFor() {
  const day = new URLSearchParams(location.search).get("day") ?? "";
  return /^\d{4}-\d{2}-\d{2}$/.test(day) ? day : "";
}

/** Return the element of the run that the URL names, which the page shows first; nothing without one. */
function runAskedFor() {
  const id = new URLSearchParams(location.search).get("run") ?? "";
  if (!/^\d{1,18}$/.test(id)) return [];
  const place = h("div");
  fillRun(place, id);
  return [place];
}

const isBad = ({ verdict }) => !["passed", "not_judged"].includes(verdict);

function suite({ suite: name, last, trend: points }, detail, onToggle, onHistory) {
  const failures = last.critical_failures + last.warnings;
  const checks = plural(last.checks, "check");
  const unknown = last.not_judged ? `, ${count(last.not_judged)} not judged` : "";
  const tally = `${failures ? `${count(failures)} of ${checks} failed` : checks}${unknown}`;
  const seconds = (Date.parse(last.finished_at) - Date.parse(last.started_at)) / 1000;
  const summary = h(
    "div",
    { class: "row" },
    h("span", { class: "state is-wide" }, badge(...verdictOf(last.verdict))),
    h(
      "div",
      { class: "grow" },
      h("strong", {}, name),
      h("div", { class: "quiet small" }, `${tally} in ${duration(seconds)}, `, when(last.finished_at)),
    ),
    trend(points),
  );
  const about = h(
    "p",
    { class: "small quiet" },
    `Table ${last.table_name}, ${SCOPES[last.scope]}; owner ${last.owner}; run ${last.run_id}. `,
    h("a", { href: last.url }, "Link to this run"),
  );
  const earlier = h(
    "div",
    { class: "earlier", "data-own": true, "data-key": "earlier" },
    button("Earlier runs", { onclick: (event) => onHistory(name, event.target.closest(".earlier")) }),
  );
  const details = fold(
    `suite-${name}`,
    summary,
    last.error && h("pre", {}, last.error),
    results(detail),
    about,
    earlier,
  );
  details.open = isBad(last);
  details.ontoggle = (event) => onToggle(name, event.target.open);
  return details;
}

/** Show the results of one run, to which alerts and earlier runs link. */
async function fillRun(place, id) {
  const back = h("p", { class: "small" }, h("a", { href: "quality" }, "All suites"));
  try {
    const run = await get(`quality/runs/${id}`);
    const about = h(
      "p",
      { class: "small quiet" },
      `Table ${run.table_name}, ${SCOPES[run.scope]}; owner ${run.owner}; run ${run.run_id}; `,
      when(run.finished_at),
    );
    const side = badge(...verdictOf(run.verdict));
    fill(place, card(`Run ${id} of ${run.suite}`, { side }, about, run.error && h("pre", {}, run.error), results(run), back));
  } catch (error) {
    fill(place, card(`Run ${id}`, {}, h("p", { class: "is-bad" }, error.message), back));
  }
}

async function history(place, name) {
  try {
    const { items } = await get(`quality/suites/${encodeURIComponent(name)}/runs?limit=${EARLIER_RUNS}`);
    const columns = [
      { name: "Finished", cell: (run) => when(run.finished_at) },
      { name: "Verdict", cell: (run) => badge(...verdictOf(run.verdict)) },
      { name: "Scope", cell: (run) => SCOPES[run.scope] },
      {
        name: "Failed",
        numeric: true,
        cell: (run) => `${count(run.critical_failures + run.warnings)} of ${count(run.checks)}`,
      },
      { name: "Results", cell: (run) => h("a", { href: run.url }, "open") },
    ];
    const caption = `Earlier runs of ${name}`;
    fill(
      place,
      table({ caption, columns, rows: items, key: (run) => run.quality_run_id, nothing: "No earlier runs." }),
    );
  } catch (error) {
    fill(
      place,
      h("p", { class: "is-bad" }, error.message),
      button("Try again", { onclick: () => history(place, name) }),
    );
  }
}

function published(views, canAct, refresh) {
  const state = (view) => [outcome(view), decided(view), changed(view)];
  const changed = (view) =>
    view.restated_days > 0 &&
    h(
      "p",
      { class: "small" },
      h("a", { href: logOf() }, `${plural(view.restated_days, "closed day")} restated`),
      " in the last 7 days, last ",
      when(view.restated_at),
    );
  const outcome = (view) => {
    if (view.error) return [badge("bad", "refresh failed"), h("pre", {}, view.error)];
    if (view.is_held) return [badge("warn", "newer data held back"), h("p", { class: "small" }, view.held_because)];
    return view.published_at ? badge("ok", "published") : badge("idle", "not published yet");
  };
  const caption = "Materialized views";
  const columns = [
    { name: "View", cell: (view) => h("code", {}, view.view_name) },
    { name: "State", cell: state },
    { name: "Published", cell: (view) => when(view.published_at) },
    { name: "Rows", numeric: true, cell: (view) => count(view.row_count) },
    { name: "Last batch", numeric: true, cell: (view) => view.last_batch_id ?? "–" },
    { name: "Refresh time", numeric: true, cell: (view) => duration(view.refresh_seconds) },
    ...(canAct ? [{ name: "Action", cell: (view) => offer(view, refresh) ?? "–" }] : []),
  ];
  const nothing = "No view has been refreshed yet. The DAG refresh_views refreshes them every five minutes.";
  return card(
    caption,
    { side: "a refresh is published once its checks pass" },
    table({ caption, columns, rows: views, key: (view) => view.view_name, nothing }),
    canAct && offerAll(views, refresh),
  );
}

/** Published figures of closed days that have changed: old and new values, when and why. */
function restatements({ items, next, fault }, day, more) {
  const caption = "Restated figures";
  const columns = [
    { name: "Day (UTC)", cell: (one) => h("strong", {}, one.day) },
    { name: "View", cell: (one) => h("code", {}, one.view_name) },
    { name: "Row", cell: (one) => Object.values(one.key).join(", ") },
    { name: "Old → new", cell: (one) => difference(one.old, one.new) },
    { name: "Time", cell: (one) => when(one.restated_at) },
    { name: "Cause", cell: (one) => one.cause },
  ];
  const nothing = "No published figures of closed days have changed.";
  return card(
    caption,
    { side: "changes to published figures of closed days" },
    day && h("p", { class: "small" }, `Only ${day} (UTC). `, h("a", { href: "quality#restated" }, "All days")),
    table({ caption, columns, rows: items, key: (one) => one.restatement_id, nothing }),
    fault && h("p", { class: "is-bad" }, fault),
    next && button("Older restatements", { onclick: more }),
  );
}
