// A board of objectives: the current value, the month, and the last hour.

import { badge, card, empty, fold, when } from "../components.js";
import { h } from "../dom.js";
import { NOTHING, decimal, duration, percent, plural, words } from "../format.js";
import { minutes, shareBar } from "../marks.js";

const UNITS = { seconds: duration, share: percent, files: (value) => plural(value, "file") };
const DIRECTIONS = { at_most: "at most", at_least: "at least" };

/** Return the formatter for values of a unit. */
export const writer = (unit) => UNITS[unit] ?? decimal;

/** A tile for each objective. */
export function board(objectives) {
  if (objectives.length === 0)
    return card("Objectives", {}, empty("No minute has been evaluated yet. Objectives are evaluated every minute."));
  return h("div", { class: "tiles is-wide" }, objectives.map(objective));
}

function objective(one) {
  return h(
    "section",
    { class: "card tile", "data-key": one.objective },
    h("h2", { title: one.measures }, words(one.objective)),
    now(one),
    month(one),
    h("div", { class: "tile-chart" }, minutes(one.recent)),
    h("p", { class: "small quiet" }, `the last ${plural(one.recent.length, "minute")}`),
    one.earlier_months.length > 0 && earlier(one.earlier_months),
  );
}

function now({ title, unit, direction, value, bound, is_met, minute, missed_since }) {
  const write = writer(unit);
  const state = is_met ? badge("ok", value === null ? "nothing to measure" : "met") : badge("bad", "missed");
  return [
    h("p", { class: "value" }, value === null ? NOTHING : write(value)),
    h("p", { class: "remark" }, `${DIRECTIONS[direction] ?? "bound"} ${write(bound)}${title ? `: ${title}` : ""}`),
    h("p", { class: "remark row" }, state, h("span", {}, missed_since ? ["since ", when(missed_since)] : when(minute))),
  ];
}

function month({ this_month: { minutes: judged, met, attainment }, target }) {
  const isBelow = target !== null && attainment !== null && attainment < target;
  const lost = judged - met;
  const missed = lost ? `missed for ${duration(lost * 60)} of ${duration(judged * 60)}` : "no minutes missed";
  const outcome = target === null ? missed : `target ${percent(target)}; ${missed}`;
  return [
    h(
      "div",
      { class: "measure" },
      h("span", {}, "This month ", isBelow && badge("bad", "below target")),
      h("strong", {}, percent(attainment)),
      shareBar(attainment ?? 0, isBelow ? "is-bad" : "is-ok"),
    ),
    h("p", { class: "small quiet" }, outcome),
  ];
}

function earlier(months) {
  const name = new Intl.DateTimeFormat(undefined, { month: "long", year: "numeric", timeZone: "UTC" });
  const line = (one) =>
    h("li", { "data-key": one.month }, `${name.format(new Date(one.month))}: ${percent(one.attainment)}`);
  return fold(
    "earlier",
    h("span", { class: "small" }, "Earlier months"),
    h("ul", { class: "small" }, months.map(line)),
  );
}
