// What the checks of one run of a suite found.

import { badge, fold, severityKind } from "../components.js";
import { h } from "../dom.js";
import { plural, words } from "../format.js";

/** The checks of a run, the failed ones first; before they are fetched it says so. */
export function results(detail) {
  if (!detail) return h("p", { class: "quiet", "data-key": "results" }, "Fetching the checks…");
  if (detail.results.length === 0)
    return h("p", { class: "quiet", "data-key": "results" }, detail.error ?? "It has no results.");
  const failed = detail.results.filter((one) => !one.is_success);
  const passed = detail.results.filter((one) => one.is_success);
  return h(
    "div",
    { class: "stack", "data-key": "results" },
    h("div", { class: "rows" }, failed.map(failure)),
    passed.length > 0 &&
      fold(
        "passed",
        h("span", {}, `${plural(passed.length, "check")} passed`),
        h(
          "ul",
          { class: "small" },
          passed.map((one) =>
            h(
              "li",
              { "data-key": one.result_id },
              nameOf(one),
              h("span", { class: "quiet" }, ` ${one.observed ?? ""}`),
            ),
          ),
        ),
      ),
  );
}

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
    hasSample(sample) && [h("p", { class: "small quiet" }, "for example"), h("pre", {}, lines(sample))],
  );
}

const lines = (sample) => (Array.isArray(sample) ? sample : [sample]).map((one) => JSON.stringify(one)).join("\n");

const hasSample = (sample) =>
  sample !== null && sample !== undefined && !(Array.isArray(sample) && sample.length === 0);
