// Components that all pages share. Every state has a shape and a word in addition to its color.

import { ROOT } from "./api.js";
import { h, svg } from "./dom.js";
import { NOTHING, ageSeconds, ago, exactTime, percent } from "./format.js";

// Strokes in a 16 by 16 square. Each state has its own outline.
const SHAPES = {
  ok: "M8 1.8a6.2 6.2 0 1 0 0 12.4a6.2 6.2 0 1 0 0-12.4M5 8.2l2.1 2.1L11 6",
  warn: "M8 1.8L14.8 13.8H1.2ZM8 6.2v3.6M8 11.7v.4",
  bad: "M5.3 1.5h5.4l3.8 3.8v5.4l-3.8 3.8H5.3L1.5 10.7V5.3ZM5.7 5.7l4.6 4.6M10.3 5.7l-4.6 4.6",
  info: "M8 1.8a6.2 6.2 0 1 0 0 12.4a6.2 6.2 0 1 0 0-12.4M8 7.2v4M8 4.7v.4",
  idle: "M8 1.8a6.2 6.2 0 1 0 0 12.4a6.2 6.2 0 1 0 0-12.4M5 8h6",
  pause: "M5.5 3.5v9M10.5 3.5v9",
  play: "M5 3.2v9.6l7.5-4.8Z",
  drain: "M8 2v8.5M4.5 7.5L8 11l3.5-3.5M3 14h10",
  check: "M3 8.5l3.3 3.3L13 5",
  note: "M3 2.5h10v11H3ZM5.5 6h5M5.5 9.5h5",
  out: "M6.5 3.5H3v9.5h9.5V9.5M9.5 2.5h4v4M13.2 2.8L7.5 8.5",
};

export const icon = (name) =>
  svg("svg", { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true" }, svg("path", { d: SHAPES[name] }));

/** A state with a shape, a color and a word. Kinds: ok, warn, bad, info, idle. */
export const badge = (kind, ...text) => h("span", { class: `badge is-${kind}` }, icon(kind), h("span", {}, ...text));

const VERDICTS = {
  passed: ["ok", "passed"],
  warned: ["warn", "passed with warnings"],
  failed: ["bad", "failed"],
  broken: ["bad", "could not run"],
  not_judged: ["idle", "not judged"],
};
const SEVERITIES = { critical: "bad", warning: "warn", info: "info" };

/** Return the kind and the text of a suite's verdict. */
export const verdictOf = (verdict) => VERDICTS[verdict] ?? ["idle", "not checked yet"];

/** Return the kind of a severity. */
export const severityKind = (severity) => SEVERITIES[severity] ?? "info";

/** A time as "5 min. ago", with the exact time as its title. `tickTimes` updates it. */
export const when = (iso) =>
  iso ? h("time", { datetime: iso, title: exactTime(iso) }, ago(iso)) : h("span", {}, NOTHING);

/** Update the ages of all times below an element. */
export function tickTimes(root) {
  for (const element of root.querySelectorAll("time")) {
    const text = ago(element.dateTime);
    if (element.firstChild.data !== text) element.firstChild.data = text;
  }
}

/**
 * Show how far the adjacent numbers can be trusted: age, share of rejected rows, last verdict.
 * `oldAfter`: age in seconds above which a warning is shown.
 */
export function stamp(trust, { oldAfter = 900 } = {}) {
  const [kind, verdict] = verdictOf(trust.verdict);
  const age = ageSeconds(trust.fresh_at);
  const isOld = age !== null && age > oldAfter;
  return h(
    "ul",
    { class: "stamp", "aria-label": "Trust" },
    h(
      "li",
      { class: isOld ? "is-warn" : null },
      isOld && icon("warn"),
      trust.fresh_at ? ["as of ", when(trust.fresh_at)] : "age not yet known",
    ),
    h(
      "li",
      {},
      trust.reject_share === null ? "no rows read in the last hour" : `${percent(trust.reject_share)} rejected`,
    ),
    h(
      "li",
      { class: `is-${kind}`, title: `Last check of ${trust.table_name}: ${exactTime(trust.checked_at)}` },
      icon(kind),
      trust.checked_at ? [`checks ${verdict} `, when(trust.checked_at)] : verdict,
    ),
    trust.is_held && h("li", { class: "is-warn" }, icon("warn"), "newer data held back"),
  );
}

/** A number with its name, an optional sparkline, a remark, and its stamp. */
export const tile = ({ name, value, unit, sparkline, remark, trust, oldAfter, look = "" }) =>
  h(
    "section",
    { class: `card tile ${look}`, "data-key": name },
    h("h2", {}, name),
    h("p", { class: "value" }, value, unit && h("span", { class: "unit" }, ` ${unit}`)),
    h("div", { class: "remark" }, remark),
    sparkline && h("div", { class: "tile-chart" }, sparkline),
    trust && stamp(trust, { oldAfter }),
  );

/** A card with a heading; `side` is shown at the right of the heading. */
export const card = (name, { side, look = "", key = name }, ...content) =>
  h(
    "section",
    { class: `card ${look}`, "data-key": key },
    h("div", { class: "heading" }, h("h2", {}, name), side && h("div", { class: "side" }, side)),
    ...content,
  );

/** A placeholder text for missing content. */
export const empty = (...text) => h("p", { class: "nothing" }, ...text);

/** A notice that the user should read. The kinds are those of `badge`. */
export const notice = (kind, title, detail, ...more) =>
  h(
    "div",
    { class: `notice is-${kind}`, "data-key": title },
    icon(kind),
    h("div", {}, h("strong", {}, title), detail && h("p", {}, detail), more),
  );

/**
 * A table that becomes a list of cards on narrow screens, unless `stays` is set.
 * `columns`: `{ name, label, cell(row), numeric }`, where the label is the name on a card; `key(row)` identifies a row;
 * `nothing`: the text without rows.
 */
export function table({ caption, columns, rows, key, nothing, stays = false }) {
  if (rows.length === 0) return empty(nothing);
  const cell = (column, row) =>
    h("td", { class: column.numeric ? "numeric" : null, "data-name": column.label ?? column.name }, column.cell(row));
  return h(
    "table",
    { class: stays ? "stays" : null, "data-key": caption },
    h("caption", { class: "unseen" }, caption),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        columns.map((one) => h("th", { scope: "col", class: one.numeric ? "numeric" : null }, one.name)),
      ),
    ),
    h(
      "tbody",
      {},
      rows.map((row) =>
        h(
          "tr",
          { "data-key": key(row) },
          columns.map((column) => cell(column, row)),
        ),
      ),
    ),
  );
}

export const button = (label, { onclick, look = "", symbol, key = label, ...rest }) =>
  h("button", { type: "button", class: look, onclick, "data-key": key, ...rest }, symbol && icon(symbol), label);

/** A choice of one value from a few: a group of buttons, one of which is pressed. */
export const choice = (label, values, chosen, choose) =>
  h(
    "div",
    { class: "choice", role: "group", "aria-label": label },
    values.map(([value, text]) =>
      button(text, { onclick: () => choose(value), "aria-pressed": String(value === chosen), key: value }),
    ),
  );

// Airflow may be served below a path prefix. An address that begins with a slash is relative to that prefix.
const AIRFLOW = ROOT.pathname.endsWith("/shopstream/") ? new URL("../", ROOT) : ROOT;

/** A link to a page outside the cockpit, or the plain text if the address is not an http(s) address. */
export function link(address, text) {
  let url;
  try {
    url = /^\/(?!\/)/.test(address) ? new URL(address.slice(1), AIRFLOW) : new URL(address, document.baseURI);
  } catch {
    url = null;
  }
  if (!address || !["http:", "https:"].includes(url?.protocol)) return h("span", {}, text);
  return h("a", { href: url.href, target: "_blank", rel: "noopener", onclick: leaveFrame }, text, icon("out"));
}

/** Open the link from the outer page, because Airflow's frame does not allow opening windows. */
function leaveFrame(event) {
  if (window.parent === window) return;
  try {
    const outside = window.parent.document.createElement("a");
    Object.assign(outside, { href: event.currentTarget.href, target: "_blank", rel: "noopener" });
    outside.click();
    event.preventDefault();
  } catch {
    // The outer page has another origin, so leave the link to the browser.
  }
}

/** A collapsible block; `summary` is always visible. */
export const fold = (key, summary, ...content) =>
  h("details", { "data-key": key }, h("summary", {}, summary), h("div", { class: "folded" }, ...content));

/** Names and values, as a definition list. */
export const facts = (pairs) =>
  h(
    "dl",
    { class: "facts" },
    pairs
      .filter(Boolean)
      .map(([name, ...value]) => h("div", { "data-key": name }, h("dt", {}, name), h("dd", {}, ...value))),
  );
