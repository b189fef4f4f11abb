// The results of the checks in one run of a suite.

import { badge, fold, severityKind } from "../components.js";
import { h } from "../dom.js";
import { plural, words } from "../format.js";

/** The checks of a run, failed ones first, or a placeholder until they are loaded. */
export function results(detail) {
  if (!detail) return h("p", { class: "quiet", "data-key": "results" }, "Loading checks…");
  if (detail.results.length === 0)
    return h("p", { class: "quiet", "data-key": "results" }, detail.error ?? "The run has no results.");
  const failed = detail.results.filter((one) => ["failed", "error"].includes(one.status));
  const unknown = detail.results.filter((one) => one.status === "not_judged");
  const passed = detail.results.filter((one) => one.status === "passed");
  return h(
    "div",
    { class: "stack", "data-key": "results" },
    h("div", { class: "rows" }, failed.map(failure)),
    listed("not_judged", badge("idle", `${plural(unknown.length, "check")} not judged`), unknown),
    listed("passed", h("span", {}, `${plural(passed.length, "check")} passed`), passed),
  );
}

const listed = (key, summary, results) =>
  results.length > 0 &&
  fold(
    key,
    summary,
    h(
      "ul",
      { class: "small" },
      results.map((one) =>
        h("li", { "data-key": one.result_id }, nameOf(one), h("span", { class: "quiet" }, ` ${one.observed ?? ""}`)),
      ),
    ),
  );

const nameOf = ({ check_name, column_name }) => `${words(check_name)}${column_name ? ` (${column_name})` : ""}`;

function failure(result) {
  const { result_id, severity, observed, expected, sample, error } = result;
  return h(
    "div",
    { class: "stack", "data-key": result_id },
    h("div", { class: "row" }, badge(severityKind(severity), severity), h("strong", { class: "grow" }, nameOf(result))),
    error && h("pre", {}, error),
    h(
      "p",
      { class: "small" },
      h("span", { class: "quiet" }, "observed "),
      observed ?? "nothing",
      h("span", { class: "quiet" }, "; expected "),
      expected ?? "–",
    ),
    hasSample(sample) && [h("p", { class: "small quiet" }, "examples"), h("pre", {}, lines(sample))],
  );
}

const lines = (sample) => (Array.isArray(sample) ? sample : [sample]).map((one) => JSON.stringify(one)).join("\n");

const hasSample = (sample) =>
  sample !== null && sample !== undefined && !(Array.isArray(sample) && sample.length === 0);
