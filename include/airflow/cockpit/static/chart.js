// The base of all charts: a frame, a legend, and a readout of the values.
//
// Users read a chart with the mouse or the arrow keys. The values under the cursor appear as text above the chart,
// where screen readers announce them. Colors come from the style sheet by class; no series is identified by color
// alone.

import { fill, h, svg } from "./dom.js";

export const MARGIN = { top: 10, right: 6, bottom: 20, left: 46 };

/** Return the smallest product of a step and a power of ten that is at least the value. */
function roundUp(value, steps) {
  if (!(value > 0)) return steps[0];
  const power = 10 ** Math.max(Math.floor(Math.log10(value)), steps[0] > 1 ? 0 : -Infinity);
  return steps.map((step) => step * power).find((step) => step >= value * 0.999) ?? steps[0] * power * 10;
}

/** A chart. Subclasses define its shapes (`shapes`, `point`, `say`) and the number of values (`length`). */
export class Chart {
  /**
   * @param title the heading
   * @param options format(value): text of a value; tick(value): text on the axis; height: in pixels; isWhole: values
   *   are whole numbers; empty: the text without data
   */
  constructor(
    title,
    { format = String, tick = null, height = 180, isWhole = false, empty = "No data yet." } = {},
  ) {
    Object.assign(this, { title, format, tick, height, isWhole, empty, at: null });
    this.readout = h("p", { class: "readout", "aria-live": "off" });
    this.drawing = svg("svg", { "aria-hidden": "true" });
    this.legend = h("ul", { class: "legend" });
    this.plot = h("div", { class: "plot", tabindex: 0, role: "group", "aria-roledescription": "chart" }, this.drawing);
    this.element = h(
      "figure",
      { class: "chart" },
      h("figcaption", {}, h("h2", {}, title), this.readout),
      this.plot,
      this.legend,
    );
    this.plot.onpointermove = (event) => this.point(event.clientX);
    this.plot.onpointerleave = () => this.moveTo(null);
    this.plot.onkeydown = (event) => this.onKey(event);
    this.plot.onblur = () => this.moveTo(null);
    new ResizeObserver(() => this.draw()).observe(this.plot);
  }

  onKey(event) {
    const last = this.length - 1;
    const here = this.at ?? last + 1;
    const places = { ArrowLeft: here - 1, ArrowRight: here + 1, Home: 0, End: last, Escape: null };
    if (!(event.key in places) || last < 0) return;
    event.preventDefault();
    const place = places[event.key];
    this.readout.setAttribute("aria-live", "polite");
    this.moveTo(place === null ? null : Math.min(Math.max(place, 0), last));
  }

  moveTo(index) {
    if (index === null) this.readout.setAttribute("aria-live", "off");
    if (index === this.at) return;
    this.at = index;
    this.draw();
  }

  /** Create the horizontal lines of the frame, for values up to the greatest one. Returns them with their scale. */
  frame(width, greatest) {
    const top = roundUp(greatest, this.isWhole ? [2, 4, 6, 10] : [1, 2, 4, 6, 10]);
    const tick = this.tick ?? this.format;
    const bottom = this.height - MARGIN.bottom;
    const y = (value) => bottom - (value / top) * (bottom - MARGIN.top);
    const lines = [0, top / 2, top].flatMap((value) => [
      svg("line", { class: "rule", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(value), y2: y(value) }),
      svg(
        "text",
        { class: "tick", x: MARGIN.left - 6, y: y(value) + 4, "text-anchor": "end" },
        value === 0 ? "0" : tick(value),
      ),
    ]);
    return { y, bottom, lines };
  }

  draw() {
    const width = this.plot.clientWidth;
    if (!this.data || width === 0) return;
    const isEmpty = this.length === 0;
    this.plot.classList.toggle("is-empty", isEmpty);
    this.drawing.setAttribute("viewBox", `0 0 ${width} ${this.height}`);
    this.drawing.setAttribute("width", width);
    this.drawing.setAttribute("height", this.height);
    if (this.at !== null && this.at >= this.length) this.at = null;
    const shown = isEmpty
      ? svg("text", { class: "empty", x: width / 2, y: this.height / 2, "text-anchor": "middle" }, this.empty)
      : this.shapes(width);
    fill(this.drawing, shown);
    const said = isEmpty ? this.empty : this.say(this.at ?? this.length - 1);
    fill(this.readout, said);
    this.plot.setAttribute("aria-label", `${this.title}. ${said} Use the arrow keys to read the values.`);
    fill(
      this.legend,
      this.names.map((name, index) =>
        h("li", { "data-key": name }, h("span", { class: `swatch series-${index}` }), name),
      ),
    );
    this.legend.hidden = this.names.length < 2;
  }
}
