// Differences between the old and new values of figures.

import { badge } from "./components.js";
import { h } from "./dom.js";
import { exactNumber, words } from "./format.js";

// The most important figures come first; the others keep their order.
const FIRST = ["revenue", "paid_orders", "buyers", "conversion_rate"];

/**
 * List figures with their old and new values, `most` of them at most. `old` is null for a new row, `now` for a removed
 * one.
 */
export function difference(old, now, { appears = "new row", goes = "row removed", most = Infinity } = {}) {
  if (old === null) return [badge("info", appears), list(now, most, (name) => exactNumber(now[name]))];
  if (now === null) return [badge("warn", goes), list(old, most, (name) => exactNumber(old[name]))];
  return list({ ...old, ...now }, most, (name) => `${exactNumber(old[name])} → ${exactNumber(now[name])}`);
}

function list(row, most, value) {
  const rest = Object.keys(row).filter((name) => !FIRST.includes(name));
  const names = [...FIRST.filter((name) => name in row), ...rest];
  return h(
    "ul",
    { class: "small" },
    names.slice(0, most).map((name) => h("li", { "data-key": name }, `${words(name)}: ${value(name)}`)),
    names.length > most && h("li", { class: "quiet", "data-key": "more" }, `and ${names.length - most} more`),
  );
}
