// The mark of a day whose published figures have changed since it was closed.

import { icon, when } from "./components.js";
import { h } from "./dom.js";
import { difference } from "./figures.js";
import { plural } from "./format.js";

const MOST_FIGURES = 4;

/** Return the address of the log of restatements, for one day if it is given. */
export const logOf = (day) => (day ? `quality?day=${encodeURIComponent(day)}#restated` : "quality#restated");

/** When and why the figures of a day last changed, their old and new values, and a link to all changes. */
export const restatedMark = (restated, day) =>
  restated &&
  h(
    "div",
    { class: "restated small", "data-key": `restated-${day}` },
    h("p", { class: "is-info" }, icon("note"), h("span", {}, "restated ", when(restated.restated_at), `: ${restated.cause}`)),
    difference(restated.old, restated.new, { most: MOST_FIGURES }),
    h(
      "a",
      { href: logOf(day), "aria-label": `All changes of ${day}` },
      `${plural(restated.times, "change")} in the log`,
    ),
  );
