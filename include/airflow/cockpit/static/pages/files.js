// Every file with the balance of its rows, and how many waited when.

import { get } from "../api.js";
import { badge, button, card, choice, icon, table, when } from "../components.js";
import { fill, h } from "../dom.js";
import { bytes, count, duration } from "../format.js";

const EVERY_MS = 3000;
const NEWEST = 200;
const AT_ONCE = 15;
const POINTS = 120;

const STATES = { admitted: ["info", "waits"], loaded: ["ok", "loaded"], quarantined: ["bad", "in quarantine"] };
const FILTERS = [
  ["", "All"],
  ["admitted", "Waiting"],
  ["loaded", "Loaded"],
  ["quarantined", "In quarantine"],
];

/** Keep the card of files in `place`, and the chart of the backlog, up to date. */
export function files(place, watch, backlog) {
  let newest = [];
  let filter = "";
  let older = [];
  let next = null;
  let shown = AT_ONCE;
  let fault = null;

  const load = async (query) => {
    const page = await get(`stream/files?limit=${NEWEST}${query}`);
    next = page.next;
    return page.items;
  };

  async function choose(value) {
    [filter, older, next, shown, fault] = [value, [], null, AT_ONCE, null];
    await attempt(async () => {
      if (filter) older = await load(`&state=${filter}`);
    });
  }

  async function more() {
    shown += AT_ONCE * 2;
    await attempt(async () => {
      if (shown > rows().length && next)
        older = [...older, ...(await load(`&before=${next}${filter && `&state=${filter}`}`))];
    });
  }

  async function attempt(work) {
    try {
      await work();
    } catch (error) {
      fault = error.message;
    }
    draw();
  }

  /** The newest ones of the filter, then what was loaded besides. */
  function rows() {
    const fresh = newest.filter((file) => !filter || file.state === filter);
    const known = new Set(newest.map((file) => file.file_id));
    return [...fresh, ...older.filter((file) => !known.has(file.file_id))];
  }

  function draw() {
    const all = rows();
    const caption = "Files, the newest first";
    const content = table({
      caption,
      columns: COLUMNS,
      rows: all.slice(0, shown),
      key: (file) => file.file_id,
      nothing: NOTHING[filter],
    });
    const hasMore = all.length > shown || next;
    fill(
      place,
      card(
        "Files",
        { side: choice("State", FILTERS, filter, choose) },
        content,
        fault && h("p", { class: "is-bad" }, fault),
        hasMore && button("Older files", { onclick: more }),
      ),
    );
  }

  watch(`stream/files?limit=${NEWEST}`, EVERY_MS, (page) => {
    newest = page.items;
    if (!filter && older.length === 0) next = page.next;
    backlog.update(waiting(newest));
    draw();
  });
}

const NOTHING = {
  "": "No file has been delivered yet.",
  admitted: "No file waits.",
  loaded: "No file has been loaded yet.",
  quarantined: "No file is in quarantine.",
};

const COLUMNS = [
  { name: "File", cell: (file) => [h("code", {}, file.name), why(file)] },
  { name: "State", cell: (file) => badge(...STATES[file.state]) },
  { name: "Size", numeric: true, cell: (file) => bytes(file.size_bytes) },
  { name: "Read = accepted + duplicate + rejected", label: "Balance of rows", cell: balance },
  { name: "Arrived", cell: (file) => when(file.arrived_at) },
  { name: "Took", numeric: true, cell: (file) => (file.settled_at ? duration(span(file)) : "–") },
];

const span = (file) => (Date.parse(file.settled_at) - Date.parse(file.arrived_at)) / 1000;

function why({ fault, fault_detail, last_error, failures, parts, extra_columns }) {
  return [
    fault && h("div", { class: "is-bad small" }, fault_detail ?? fault),
    !fault && failures > 0 && h("div", { class: "is-warn small" }, `Failed ${failures} times: ${last_error}`),
    parts > 1 && h("div", { class: "quiet small" }, `in ${parts} parts`),
    extra_columns.length > 0 &&
      h("div", { class: "quiet small" }, `columns not in the contract: ${extra_columns.join(", ")}`),
  ];
}

function balance({ state, read, accepted, duplicate, rejected }) {
  if (state !== "loaded") return "–";
  const isEven = read === accepted + duplicate + rejected;
  return [
    h("span", {}, `${count(read)} = ${count(accepted)} + ${count(duplicate)} + ${count(rejected)} `),
    isEven ? h("span", { class: "is-ok", title: "It adds up." }, icon("check")) : badge("bad", "does not add up"),
  ];
}

/** How many of the newest files had arrived and were not settled, over the time that they cover. */
function waiting(newest) {
  if (newest.length < 2) return { times: [], series: [{ name: "Files", values: [] }] };
  const spans = newest.map((file) => [
    Date.parse(file.arrived_at),
    file.settled_at ? Date.parse(file.settled_at) : Infinity,
  ]);
  const first = Math.min(...spans.map(([from]) => from));
  const last = Math.max(...spans.map(([from, to]) => (to === Infinity ? from : to)));
  const times = Array.from({ length: POINTS }, (_, index) => first + ((last - first) * index) / (POINTS - 1));
  const values = times.map((time) => spans.filter(([from, to]) => from <= time && time < to).length);
  return { times, series: [{ name: "Files", values }] };
}
