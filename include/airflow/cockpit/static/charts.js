// The two chart types, as inline SVG: lines over time, and stacked bars.

import { Chart, MARGIN } from "./chart.js";
import { svg } from "./dom.js";
import { clockTime } from "./format.js";

const NARROWEST_BAR = 5;
// Below this span, the axis shows seconds.
const FINE_MS = 20 * 60_000;

const isFine = (times) => times.at(-1) - times[0] < FINE_MS;

/** Series over time. `update({ times, series: [{ name, values }] })`; times are in ms, and a null value is a gap. */
export class LineChart extends Chart {
  update(data) {
    this.data = data;
    this.names = data.series.map((one) => one.name);
    this.length = data.times.length;
    this.draw();
  }

  get scale() {
    const { times } = this.data;
    const span = this.plot.clientWidth - MARGIN.left - MARGIN.right;
    const [first, last] = [times[0], times.at(-1)];
    return (time) => MARGIN.left + (last === first ? span : ((time - first) / (last - first)) * span);
  }

  shapes(width) {
    const { times, series } = this.data;
    const x = this.scale;
    const greatest = Math.max(...series.flatMap((one) => one.values.map((value) => value ?? 0)));
    const { y, bottom, lines } = this.frame(width, greatest);
    const shapes = series.flatMap(({ values }, index) => {
      const path = line(times, values, x, y);
      const area = series.length === 1 && path ? closed(times, values, x, y, bottom) : null;
      return [
        area && svg("path", { class: `area series-${index}`, d: area }),
        svg("path", { class: `line series-${index}`, d: path }),
      ];
    });
    return [lines, shapes, timeTicks(times, x, this.height - 4, width), this.cursor(x, y, bottom)];
  }

  cursor(x, y, bottom) {
    if (this.at === null) return null;
    const place = x(this.data.times[this.at]);
    const dots = this.data.series.map(({ values }, index) =>
      values[this.at] === null
        ? null
        : svg("circle", { class: `dot series-${index}`, cx: place, cy: y(values[this.at]), r: 3.5 }),
    );
    return [svg("line", { class: "cursor", x1: place, x2: place, y1: MARGIN.top, y2: bottom }), dots];
  }

  point(clientX) {
    const { times } = this.data ?? { times: [] };
    if (times.length === 0) return;
    const place = clientX - this.plot.getBoundingClientRect().left;
    const distances = times.map((time) => Math.abs(this.scale(time) - place));
    this.moveTo(distances.indexOf(Math.min(...distances)));
  }

  say(index) {
    const values = this.data.series.map(({ name, values }) => {
      const text = values[index] === null ? "no value" : this.format(values[index]);
      return this.names.length > 1 ? `${name} ${text}` : text;
    });
    return `${clockTime(this.data.times[index], isFine(this.data.times))}: ${values.join(", ")}.`;
  }
}

/** Stacked bars. `update({ names, bars: [{ label, time, parts }] })`; `parts` has a number for each name. */
export class StackedBars extends Chart {
  update(data) {
    this.data = data;
    this.names = data.names;
    this.length = data.bars.length;
    this.draw();
  }

  /** Return the newest bars that fit, their step in pixels, and the number of skipped bars. */
  layout(width) {
    const room = width - MARGIN.left - MARGIN.right;
    const bars = this.data.bars.slice(-Math.max(1, Math.floor(room / NARROWEST_BAR)));
    const step = Math.min(room / bars.length, 28);
    return { bars, step, skipped: this.data.bars.length - bars.length };
  }

  shapes(width) {
    const { bars, step, skipped } = this.layout(width);
    const sum = (parts) => parts.reduce((total, part) => total + part, 0);
    const { y, lines } = this.frame(width, Math.max(...bars.map((bar) => sum(bar.parts))));
    const left = (index) => MARGIN.left + index * step;
    const shapes = bars.flatMap((bar, index) => {
      let below = 0;
      const isAt = this.at === index + skipped;
      return bar.parts.map((part, number) => {
        below += part;
        const height = y(below - part) - y(below);
        const place = { x: left(index) + 0.5, y: y(below), width: Math.max(step - 1, 1), height };
        return part > 0 && svg("rect", { class: `bar series-${number}${isAt ? " is-at" : ""}`, ...place });
      });
    });
    const times = bars.map((bar) => Date.parse(bar.time));
    const ends = [0, bars.length - 1].map((index) =>
      svg(
        "text",
        { class: "tick", x: left(index), y: this.height - 4, "text-anchor": index ? "end" : "start" },
        bars.length > 1 || index === 0 ? clockTime(times[index], isFine(times)) : "",
      ),
    );
    if (bars.length > 1) ends[1].setAttribute("x", left(bars.length));
    return [lines, shapes, ends];
  }

  point(clientX) {
    if (!this.length) return;
    const { bars, step, skipped } = this.layout(this.plot.clientWidth);
    const place = Math.floor((clientX - this.plot.getBoundingClientRect().left - MARGIN.left) / step);
    this.moveTo(place >= 0 && place < bars.length ? place + skipped : null);
  }

  say(index) {
    const bar = this.data.bars[index];
    const parts = bar.parts
      .map((part, number) => part > 0 && `${this.names[number]} ${this.format(part)}`)
      .filter(Boolean);
    return `${bar.label}, ${clockTime(bar.time, true)}: ${parts.join(", ")}.`;
  }
}

/** Return the path of a line; null values are gaps. */
export function line(times, values, x, y) {
  let isOpen = false;
  const steps = values.map((value, index) => {
    if (value === null) {
      isOpen = false;
      return "";
    }
    const step = `${isOpen ? "L" : "M"}${x(times[index]).toFixed(1)} ${y(value).toFixed(1)}`;
    isOpen = true;
    return step;
  });
  return steps.join("");
}

/** Return the area between a line and the baseline; null if the line has gaps. */
function closed(times, values, x, y, bottom) {
  if (values.some((value) => value === null)) return null;
  return `${line(times, values, x, y)}L${x(times.at(-1)).toFixed(1)} ${bottom}L${x(times[0]).toFixed(1)} ${bottom}Z`;
}

function timeTicks(times, x, y, width) {
  const wanted = Math.min(times.length, width < 420 ? 2 : 4);
  const picked = Array.from({ length: wanted }, (_, index) =>
    wanted === 1 ? times[0] : times[0] + ((times.at(-1) - times[0]) * index) / (wanted - 1),
  );
  const anchor = (index) => (index === 0 ? "start" : index === wanted - 1 ? "end" : "middle");
  return picked.map((time, index) =>
    svg(
      "text",
      { class: "tick", x: x(time), y, "text-anchor": wanted === 1 ? "end" : anchor(index) },
      clockTime(time, isFine(times)),
    ),
  );
}
