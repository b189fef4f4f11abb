// Word-sized marks. In a row of states, the height shows the state in addition to the color.

import { line } from "./charts.js";
import { verdictOf } from "./components.js";
import { h, svg } from "./dom.js";
import { exactTime } from "./format.js";

const HEIGHTS = { ok: 6, warn: 11, bad: 18, idle: 3 };

const mark = (kind, said) =>
  svg(
    "svg",
    { viewBox: "0 0 9 18", preserveAspectRatio: "none", "aria-hidden": "true" },
    said && svg("title", {}, said),
    svg("rect", { class: `is-${kind}`, x: 1, y: 18 - HEIGHTS[kind], width: 7, height: HEIGHTS[kind], rx: 1.5 }),
  );

const tally = (names) => {
  const counts = new Map();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].map(([name, number]) => `${number} ${name}`).join(", ");
};

/** The verdicts of the last runs of a suite, oldest first. */
export const trend = (points) =>
  h(
    "span",
    {
      class: "trend",
      role: "img",
      "aria-label": `Last ${points.length} runs: ${tally(points.map((one) => verdictOf(one.verdict)[1]))}`,
    },
    points.map(({ verdict, finished_at }) => {
      const [kind, said] = verdictOf(verdict);
      return mark(kind, `${said}, ${exactTime(finished_at)}`);
    }),
  );

/** Whether an objective was met, by minute, oldest first. */
export const minutes = (areMet) =>
  h(
    "span",
    {
      class: "trend is-fine",
      role: "img",
      "aria-label": `Last ${areMet.length} minutes: ${tally(areMet.map((isMet) => (isMet ? "met" : "missed")))}`,
    },
    areMet.map((isMet) => mark(isMet ? "ok" : "bad")),
  );

/** A sparkline. It is hidden from screen readers, because the number itself is announced. */
export function sparkline(values) {
  const [width, height] = [120, 28];
  const known = values.filter((value) => value !== null);
  if (known.length < 2) return null;
  const top = Math.max(...known) || 1;
  const path = line(
    values.map((_, index) => index),
    values,
    (index) => (index / (values.length - 1)) * width,
    (value) => height - 2 - (value / top) * (height - 4),
  );
  return svg(
    "svg",
    { class: "sparkline", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("path", { class: "line series-0", d: path }),
  );
}

/** A share from 0 to 1 as a bar. The number is shown next to it as text. */
export const shareBar = (share, look = "series-0") =>
  svg(
    "svg",
    { class: "share", viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { class: "track", width: 100, height: 6 }),
    svg("rect", { class: `bar ${look}`, width: Math.min(Math.max(share || 0, 0), 1) * 100, height: 6 }),
  );
