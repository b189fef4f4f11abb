// What the shop does now, and how far the numbers can be trusted.

import { LineChart } from "../charts.js";
import { badge, choice, tile, when } from "../components.js";
import { fill, h } from "../dom.js";
import { count, decimal, duration, money, percent, plural, short } from "../format.js";
import { sparkline } from "../marks.js";
import { LATE_LIVE_SECONDS, LATE_VIEW_SECONDS } from "./lateness.js";
import { categories, funnel, products } from "./sales.js";

export const title = "Overview";

const EVERY_MS = 1500;
const CURRENCY_KEY = "shopstream.currency";

export function start({ main, watch }) {
  const lead = h("div", { class: "lead", role: "status" }, h("h1", {}, title));
  const tiles = h("div", { class: "tiles" });
  const revenue = new LineChart("Revenue by the minute, last hour", {
    tick: short,
    empty: "No purchases in the last hour.",
  });
  const events = new LineChart("Events by the minute, last hour", {
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

    // The minute that is not over would look like a fall.
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
      products(overview.top_products, currency),
      categories(overview.top_categories, currency),
      funnel(overview.conversion),
    );
  }

  watch("overview", EVERY_MS, show);
}

/** Every currency that has revenue, the one with the most purchases first. */
function currenciesOf({ revenue, top_products }) {
  const today = [...revenue.currencies].sort((a, b) => b.purchases - a.purchases).map((one) => one.currency);
  return [...new Set([...today, ...top_products.items.map((one) => one.currency)])];
}

function attention({
  attention: { open_alerts, unacknowledged_alerts, held_views, failing_suites, missed_objectives },
  throughput,
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
  if (flags.length === 0 && !throughput.trust.fresh_at) return badge("idle", "Waiting for the first event");
  if (flags.length === 0) return badge("ok", open ? "Nothing needs you but notes" : "All is well: nothing needs you");
  const seen = open > 0 && unacknowledged_alerts === 0;
  return [...flags, seen && h("span", { class: "quiet small" }, "all alerts are acknowledged")];
}

function numbers({ revenue, series, activity, conversion, throughput }, currency) {
  const minutes = series.minutes.slice(0, -1);
  const course = (pick) => sparkline(minutes.map(pick));
  const [first, ...others] = [...revenue.currencies].sort(
    (a, b) => (b.currency === currency) - (a.currency === currency),
  );
  return [
    tile({
      name: "Revenue today",
      look: "first",
      value: first ? money(Number(first.revenue), first.currency) : "–",
      course: first && course((one) => Number(one.revenue[first.currency] ?? 0)),
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
      name: "Orders today",
      value: count(activity.orders),
      course: course((one) => one.orders),
      remark: `order lines; ${plural(activity.purchases, "purchase")}`,
      trust: activity.trust,
      oldAfter: LATE_LIVE_SECONDS,
    }),
    tile({
      name: "Conversion",
      value: percent(conversion.conversion_rate),
      remark: conversion.day
        ? `${count(conversion.purchase_sessions)} of ${plural(conversion.view_sessions, "session")} bought`
        : "No session yet.",
      trust: conversion.trust,
      oldAfter: LATE_VIEW_SECONDS,
    }),
    tile({
      name: "Events per second",
      value: decimal(throughput.events_per_second),
      course: course((one) => one.events),
      remark: `accepted, of ${decimal(throughput.rows_per_second)} rows read`,
      trust: throughput.trust,
      oldAfter: LATE_LIVE_SECONDS,
    }),
    tile({
      name: "Lag",
      value: duration(throughput.lag_seconds),
      remark: [
        h("p", {}, "from arrival to commit"),
        h("p", {}, throughput.backlog_files ? `${plural(throughput.backlog_files, "file")} waiting` : "no file waits"),
        throughput.newest_event_at && h("p", {}, "newest event ", when(throughput.newest_event_at)),
      ],
      trust: throughput.trust,
      oldAfter: LATE_LIVE_SECONDS,
    }),
  ];
}
