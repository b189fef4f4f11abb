// The key figures of the last seven days, with their restatements.

import { badge, card, stamp, table } from "../components.js";
import { h } from "../dom.js";
import { count, money, percent } from "../format.js";
import { restatedMark } from "../restated.js";
import { LATE_VIEW_SECONDS } from "./staleness.js";

export function daily({ items, trust }, currency) {
  const rows = items.filter((one) => one.currency === currency);
  const columns = [
    { name: "Day (UTC)", cell: (one) => [h("strong", {}, one.day), " ", !one.is_closed && badge("info", "so far")] },
    { name: "Revenue", numeric: true, cell: (one) => money(Number(one.revenue), one.currency) },
    { name: "Paid orders", numeric: true, cell: (one) => count(one.paid_orders) },
    {
      name: "Average order",
      numeric: true,
      cell: (one) => (one.average_order_value === null ? "–" : money(Number(one.average_order_value), one.currency)),
    },
    { name: "Buyers", numeric: true, cell: (one) => count(one.buyers) },
    { name: "Conversion", numeric: true, cell: (one) => percent(one.conversion_rate) },
    { name: "Restated", cell: (one) => restatedMark(one.restated, one.day) ?? "–" },
  ];
  const caption = `The last seven days (UTC)${currency ? ` in ${currency}` : ""}`;
  return card(
    caption,
    { key: "daily", side: "published figures; changes to closed days are marked" },
    table({ caption, columns, rows, key: (one) => one.day, nothing: "No day has been published yet." }),
    stamp(trust, { oldAfter: LATE_VIEW_SECONDS }),
  );
}
