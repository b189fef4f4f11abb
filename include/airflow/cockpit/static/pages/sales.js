// Best-selling products and categories, and the conversion funnel.

import { card, empty, stamp, table } from "../components.js";
import { h } from "../dom.js";
import { count, money, percent } from "../format.js";
import { shareBar } from "../marks.js";
import { restatedMark } from "../restated.js";
import { LATE_LIVE_SECONDS, LATE_VIEW_SECONDS } from "./staleness.js";

export function products({ items, trust }, currency) {
  const rows = items.filter((one) => one.currency === currency);
  const columns = [
    {
      name: "Product",
      cell: (one) => [
        h("div", {}, one.product_name),
        h("div", { class: "quiet small" }, `${one.brand} · ${one.category}`),
      ],
    },
    { name: "Units", numeric: true, cell: (one) => count(one.units) },
    { name: "Views", numeric: true, cell: (one) => count(one.views) },
    { name: "Revenue", numeric: true, cell: (one) => money(Number(one.revenue), one.currency) },
  ];
  const caption = `Top products${currency ? ` in ${currency}` : ""}, all days`;
  return card(
    caption,
    { look: "half", key: "products" },
    table({
      caption,
      columns,
      rows,
      stays: true,
      key: (one) => one.product_id,
      nothing: "No products have been sold yet.",
    }),
    stamp(trust, { oldAfter: LATE_VIEW_SECONDS }),
  );
}

const measure = (name, value, share, look) =>
  h(
    "div",
    { class: "measure", "data-key": name },
    h("span", { class: "what" }, name),
    h("span", {}, value),
    shareBar(share, look),
  );

export function categories({ items, trust }, currency) {
  const rows = items.filter((one) => one.currency === currency);
  const most = Math.max(...rows.map((one) => Number(one.revenue)), 0) || 1;
  return card(
    `Categories today (UTC)${currency ? ` in ${currency}` : ""}`,
    { look: "quarter", key: "categories" },
    rows.length === 0
      ? empty("Nothing has been sold yet today.")
      : rows.map((one) => measure(one.category, money(Number(one.revenue), one.currency), Number(one.revenue) / most)),
    stamp(trust, { oldAfter: LATE_LIVE_SECONDS }),
  );
}

export function funnel(conversion) {
  const stages = [
    ["Viewed", conversion.view_sessions],
    ["Added to cart", conversion.cart_sessions],
    ["Ordered", conversion.order_sessions],
    ["Purchased", conversion.purchase_sessions],
  ];
  const share = (sessions) => sessions / (conversion.view_sessions || 1);
  return card(
    "Conversion funnel",
    { look: "quarter", key: "funnel", side: conversion.day && `${conversion.day} (UTC)` },
    conversion.day === null
      ? empty("No sessions yet.")
      : stages.map(([name, sessions]) =>
          measure(name, `${count(sessions)} · ${percent(share(sessions))}`, share(sessions), "series-2"),
        ),
    restatedMark(conversion.restated, conversion.day),
    stamp(conversion.trust, { oldAfter: LATE_VIEW_SECONDS }),
  );
}
