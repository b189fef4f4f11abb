// Rejected rows by reason, with samples of the raw rows.

import { get } from "../api.js";
import { button, card, empty, fold, when } from "../components.js";
import { fill, h } from "../dom.js";
import { count, percent, plural, words } from "../format.js";
import { shareBar } from "../marks.js";

const EVERY_MS = 5000;
const SAMPLES = 5;
const AT_ONCE = 8;

/** Keep the rejects card in `place` up to date. */
export function rejects(place, watch, canAct) {
  let latest = null;
  let isWhole = false;
  const showAll = () => {
    isWhole = true;
    draw(latest);
  };

  function draw(data) {
    latest = data;
    const shown = isWhole ? data.reasons : data.reasons.slice(0, AT_ONCE);
    const most = data.reasons[0]?.rows ?? 1;
    const side = data.read
      ? `${count(data.rejected)} of ${plural(data.read, "row")}, ${percent(data.reject_share)}`
      : null;
    fill(
      place,
      card(
        "Rejected rows in the last hour, by reason",
        { side },
        data.reasons.length === 0
          ? empty(data.read ? "No rows were rejected." : "No rows were read in the last hour.")
          : h(
              "div",
              { class: "rows" },
              shown.map((reason) => one(reason, most, canAct)),
            ),
        shown.length < data.reasons.length &&
          button(`All ${data.reasons.length} reasons`, { key: "all", onclick: showAll }),
        data.counted < data.rejected &&
          h("p", { class: "hint" }, `The counts cover the newest ${count(data.counted)} rejected rows only.`),
      ),
    );
  }

  watch("stream/rejects?minutes=60", EVERY_MS, draw);
}

function one({ reason, rows, meaning, last_seen_at }, most, canAct) {
  const samples = h("div", { class: "samples", "data-own": true }, h("p", { class: "quiet" }, "Loading rows…"));
  const summary = h(
    "div",
    { class: "row" },
    h("div", { class: "grow" }, h("strong", {}, words(reason)), h("div", { class: "quiet small" }, meaning)),
    h("span", { class: "quiet small" }, "last ", when(last_seen_at)),
    h("strong", {}, count(rows)),
    shareBar(rows / most, "series-5"),
  );
  const details = fold(`reject-${reason}`, summary, samples);
  details.ontoggle = (event) => event.target.open && show(event.target.querySelector(".samples"), reason, canAct);
  return details;
}

async function show(place, reason, canAct) {
  let content;
  try {
    const { items } = await get(`stream/rejects/${encodeURIComponent(reason)}/samples?limit=${SAMPLES}`);
    content = items.length ? items.map((item) => sample(item, canAct)) : empty("Retention has removed these rows.");
  } catch (error) {
    content = h("p", { class: "is-bad" }, error.message);
  }
  fill(place, content, button("Reload", { onclick: () => show(place, reason, canAct) }));
}

function sample({ reject_id, file_name, line, reasons, rejected_at, raw, found }, canAct) {
  const others = reasons.length > 1 ? `; all reasons: ${reasons.map(words).join(", ")}` : "";
  return h(
    "div",
    { "data-key": reject_id },
    h("p", { class: "small" }, h("code", {}, file_name), ` line ${line}, `, when(rejected_at), others),
    found && h("p", { class: "small" }, "Found: ", h("code", {}, found)),
    raw === null
      ? h(
          "p",
          { class: "hint" },
          canAct ? "The row is no longer stored." : "Your role does not show the row, because it names customers.",
        )
      : h("pre", {}, raw),
  );
}
