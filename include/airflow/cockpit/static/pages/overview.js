// The current numbers of the shop, and how far they can be trusted.

import { LineChart } from "../charts.js";
import { badge, choice, tile, when } from "../components.js";
import { fill, h } from "../dom.js";
import { count, decimal, duration, money, percent, plural, short } from "../format.js";
import { sparkline } from "../marks.js";
import { restatedMark } from "../restated.js";
import { daily } from "./daily.js";
import { LATE_LIVE_SECONDS, LATE_VIEW_SECONDS } from "./staleness.js";
import { waiting } from "./files.js";
import { categories, funnel, products } from "./sales.js";

export const title = "Overview";

const EVERY_MS = 1500;
const CURRENCY_KEY = "shopstream.currency";

export function start({ main, watch }) {
  const lead = h("div", { class: "lead", role: "status" }, h("h1", {}, title));
  const tiles = h("div", { class: "tiles" });
  const revenue = new LineChart("Revenue per minute, last hour", {
    tick: short,
    empty: "No purchases in the last hour.",
  });
  const events = new LineChart("Events per minute, last hour", {
    format: short,
    empty: "No events in the last hour.",
  });
  const lists = h("div", { class: "grid" });
  main.append(
    lead,
    tiles,
    h(
      "div",
      { class: "grid" },
      h("section", { class: "card half" }, revenue.element),
      h("section", { class: "card half" }, events.element),
    ),
    lists,
  );

  let latest = null;
  const choose = (currency) => {
    sessionStorage.setItem(CURRENCY_KEY, currency);
    show(latest);
  };

  function show(overview) {
    latest = overview;
    const { series } = overview;
    const codes = currenciesOf(overview);
    const saved = sessionStorage.getItem(CURRENCY_KEY);
    const currency = codes.includes(saved) ? saved : codes[0];
    const switcher =
      codes.length > 1 &&
      choice(
        "Currency",
        codes.map((code) => [code, code]),
        currency,
        choose,
      );
    fill(lead, h("h1", {}, title), attention(overview), switcher && h("div", { class: "side" }, switcher));
    fill(tiles, numbers(overview, currency));

    // Leave out the current minute: it is incomplete, and would look like a drop.
    const minutes = series.minutes.slice(0, -1);
    const times = minutes.map((one) => Date.parse(one.minute));
    const isQuiet = minutes.every((one) => one.events === 0);
    revenue.format = (value) => money(value, currency);
    revenue.update({
      times: isQuiet || !currency ? [] : times,
      series: [{ name: "Revenue", values: minutes.map((one) => Number(one.revenue[currency] ?? 0)) }],
    });
    events.update({
      times: isQuiet ? [] : times,
      series: [{ name: "Events", values: minutes.map((one) => one.events) }],
    });
    fill(
      lists,
      daily(overview.daily, currency),
      products(overview.top_products, currency),
      categories(overview.top_categories, currency),
      funnel(overview.conversion),
    );
  }

  watch("overview", EVERY_MS, show);
}

/** Return all currencies with revenue, the one with the most purchases first. */
function currenciesOf({ revenue, top_products, daily: days }) {
  const today = [...revenue.currencies].sort((a, b) => b.purchases - a.purchases).map((one) => one.currency);
  return [...new Set([...today, ...[...top_products.items, ...days.items].map((one) => one.currency)])];
}

const STOPPED = {
  intake_paused: ["warn", "The stream's intake is paused"],
  stuck: ["bad", "The stream is stuck"],
  stopping: ["warn", "The stream is stopping"],
  draining: ["info", "The stream is draining"],
  starting: ["info", "The stream is starting"],
  paused: ["warn", "The stream is paused"],
  drained: ["warn", "The stream is drained"],
  down: ["bad", "The stream is down"],
};

/** If the stream does not run: its state, since when, by whom, and the number of waiting files. Null while it runs. */
function condition({ stream: { state, since, requested_by, reason }, throughput }) {
  if (!STOPPED[state]) return null;
  const [kind, words] = STOPPED[state];
  const by = requested_by && `by ${requested_by}`;
  return h(
    "a",
    { href: "stream", "data-key": "condition" },
    badge(
      kind,
      words,
      (by || since) && [" (", by, by && since && ", ", since && when(since), ")"],
      reason && `: ${reason}`,
      "; ",
      waiting(throughput),
    ),
  );
}

function attention(overview) {
  const stopped = condition(overview);
  return stopped ? [stopped, ...flagsOf(overview)] : reassurance(overview);
}

function reassurance(overview) {
  const flags = flagsOf(overview);
  if (flags.length) return flags;
  if (!overview.throughput.trust.fresh_at) return badge("idle", "Waiting for the first event");
  const { open_alerts } = overview.attention;
  const open = open_alerts.critical + open_alerts.warning + open_alerts.info;
  return badge("ok", open ? "Nothing urgent: info alerts only" : "All is well: nothing needs attention");
}

function flagsOf({
  attention: { open_alerts, unacknowledged_alerts, held_views, failing_suites, missed_objectives },
}) {
  const open = open_alerts.critical + open_alerts.warning + open_alerts.info;
  const flag = (page, kind, text) => h("a", { href: page, "data-key": page + text }, badge(kind, text));
  const flags = [
    open_alerts.critical > 0 && flag("objectives", "bad", plural(open_alerts.critical, "critical alert")),
    open_alerts.warning > 0 && flag("objectives", "warn", plural(open_alerts.warning, "warning")),
    missed_objectives > 0 && flag("objectives", "bad", `${plural(missed_objectives, "objective")} missed`),
    failing_suites > 0 && flag("quality", "bad", `${plural(failing_suites, "suite")} failing`),
    held_views > 0 && flag("quality", "warn", `${plural(held_views, "view")} held back`),
  ].filter(Boolean);
  const seen = flags.length > 0 && open > 0 && unacknowledged_alerts === 0;
  return seen ? [...flags, h("span", { class: "quiet small" }, "all alerts acknowledged")] : flags;
}

function numbers({ revenue, series, activity, conversion, throughput }, currency) {
  const minutes = series.minutes.slice(0, -1);
  const trend = (pick) => sparkline(minutes.map(pick));
  const [first, ...others] = [...revenue.currencies].sort(
    (a, b) => (b.currency === currency) - (a.currency === currency),
  );
  return [
    tile({
      name: "Revenue today (UTC)",
      look: "first",
      value: first ? money(Number(first.revenue), first.currency) : "–",
      sparkline: first && trend((one) => Number(one.revenue[first.currency] ?? 0)),
      remark: first
        ? [
            h("p", {}, `${money(Number(first.last_hour_revenue), first.currency)} in the last hour`),
            h("p", {}, others.map((one) => money(Number(one.revenue), one.currency)).join(" · ")),
          ]
        : "No purchases yet today.",
      trust: revenue.trust,
      oldAfter: LATE_LIVE_SECONDS,
    }),
    tile({
      name: "Order lines today (UTC)",
      value: count(activity.order_lines),
      sparkline: trend((one) => one.order_lines),
      remark: `an order of three products has three; ${plural(activity.purchases, "purchase line")}`,
      trust: activity.trust,
      oldAfter: LATE_LIVE_SECONDS,
    }),
    tile({
      name: conversion.day ? `Conversion on ${conversion.day} (UTC)` : "Conversion",
      value: percent(conversion.conversion_rate),
      remark: conversion.day
        ? [
            h(
              "p",
              {},
              `${count(conversion.purchase_sessions)} of ${plural(conversion.view_sessions, "session")} purchased`,
            ),
            restatedMark(conversion.restated, conversion.day),
          ]
        : "No sessions yet.",
      trust: conversion.trust,
      oldAfter: LATE_VIEW_SECONDS,
    }),
    tile({
      name: "Events per second",
      value: decimal(throughput.events_per_second),
      sparkline: trend((one) => one.events),
      remark: `accepted, of ${decimal(throughput.rows_per_second)} rows read`,
      trust: throughput.trust,
      oldAfter: LATE_LIVE_SECONDS,
    }),
    tile({
      name: "Lag",
      value: duration(throughput.lag_seconds),
      remark: [
        h("p", {}, "from arrival to commit"),
        h("p", {}, waiting(throughput)),
        throughput.newest_event_at && h("p", {}, "newest event ", when(throughput.newest_event_at)),
      ],
      trust: throughput.trust,
      oldAfter: LATE_LIVE_SECONDS,
    }),
  ];
}
