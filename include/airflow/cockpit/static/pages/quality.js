// Whether the numbers are right: suites, the failing first, their history, and which views are held back.

import { ROOT, get } from "../api.js";
import { badge, button, card, empty, fold, table, verdictOf, when } from "../components.js";
import { fill, h } from "../dom.js";
import { count, duration, plural } from "../format.js";
import { trend } from "../marks.js";
import { results } from "./checks.js";

export const title = "Quality";

const EVERY_MS = 5000;
const EARLIER_RUNS = 20;
const SCOPES = {
  window: "what was loaded since the last good run",
  full: "all rows",
  candidate: "a view before its publication",
};

export function start({ main, watch }) {
  const lead = h("div", { class: "lead", role: "status" }, h("h1", {}, title));
  const suites = h("div");
  const views = h("div");
  main.append(lead, suites, views);

  const details = new Map(); // by quality_run_id: results of a run do not change
  const opened = new Set(); // suites that a person opened
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

  function draw() {
    const failing = latest.filter(({ last }) => ["failed", "broken"].includes(last.verdict)).length;
    const warned = latest.filter(({ last }) => last.verdict === "warned").length;
    const summary = [
      failing > 0 && badge("bad", `${plural(failing, "suite")} failing`),
      warned > 0 && badge("warn", `${plural(warned, "suite")} with warnings`),
      latest.length > 0 && failing + warned === 0 && badge("ok", `all ${plural(latest.length, "suite")} passed`),
    ];
    const hasDocs = latest.some(({ last }) => last.docs_url);
    const docs = hasDocs && h("a", { href: new URL("docs/", ROOT).href }, "Data Docs");
    fill(lead, h("h1", {}, title), summary, docs);
    fill(
      suites,
      card(
        "Suites",
        { side: "the failing first; each mark is a run, the newest at the right" },
        latest.length === 0
          ? empty("No suite has run yet. The DAG check_quality runs them every ten minutes.")
          : h(
              "div",
              { class: "rows" },
              latest.map((one) => suite(one, details.get(one.last.quality_run_id), onToggle)),
            ),
      ),
    );
  }

  watch("quality/suites", EVERY_MS, (data) => {
    latest = data;
    draw();
    fetchDetails();
  });
  watch("views", EVERY_MS, (data) => fill(views, published(data)));
}

const isBad = ({ verdict }) => verdict !== "passed";

function suite({ suite: name, last, trend: points }, detail, onToggle) {
  const failures = last.critical_failures + last.warnings;
  const checks = plural(last.checks, "check");
  const tally = failures ? `${count(failures)} of ${checks} failed` : checks;
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
    last.docs_url && h("a", { href: last.docs_url }, "Its Data Docs"),
  );
  const earlier = h(
    "div",
    { class: "earlier", "data-own": true },
    button("Earlier runs", { onclick: (event) => history(event, name) }),
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

async function history(event, name) {
  const place = event.target.closest(".earlier");
  try {
    const { items } = await get(`quality/suites/${encodeURIComponent(name)}/runs?limit=${EARLIER_RUNS}`);
    const columns = [
      { name: "Finished", cell: (run) => when(run.finished_at) },
      { name: "Verdict", cell: (run) => badge(...verdictOf(run.verdict)) },
      { name: "Of", cell: (run) => SCOPES[run.scope] },
      {
        name: "Failed",
        numeric: true,
        cell: (run) => `${count(run.critical_failures + run.warnings)} of ${count(run.checks)}`,
      },
      { name: "Data Docs", cell: (run) => (run.docs_url ? h("a", { href: run.docs_url }, "open") : "–") },
    ];
    const caption = `Earlier runs of ${name}`;
    fill(
      place,
      table({ caption, columns, rows: items, key: (run) => run.quality_run_id, nothing: "It has not run before." }),
    );
  } catch (error) {
    fill(
      place,
      h("p", { class: "is-bad" }, error.message),
      button("Try again", { onclick: (again) => history(again, name) }),
    );
  }
}

function published(views) {
  const state = (view) => {
    if (view.error) return [badge("bad", "refresh failed"), h("pre", {}, view.error)];
    if (view.is_held) return [badge("warn", "newer state held back"), h("p", { class: "small" }, view.held_because)];
    return view.published_at ? badge("ok", "published") : badge("idle", "not published yet");
  };
  const caption = "Materialized views";
  const columns = [
    { name: "View", cell: (view) => h("code", {}, view.view_name) },
    { name: "State", cell: state },
    { name: "Readers see", cell: (view) => when(view.published_at) },
    { name: "Rows", numeric: true, cell: (view) => count(view.row_count) },
    { name: "Up to batch", numeric: true, cell: (view) => view.last_batch_id ?? "–" },
    { name: "Refresh took", numeric: true, cell: (view) => duration(view.refresh_seconds) },
  ];
  const nothing = "No view has been refreshed yet. The DAG refresh_views does so every five minutes.";
  return card(
    caption,
    { side: "readers see a refresh once its checks pass" },
    table({ caption, columns, rows: views, key: (view) => view.view_name, nothing }),
  );
}
