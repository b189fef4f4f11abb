// All files with their balance of rows, and the number of waiting files.

import { get } from "../api.js";
import { badge, button, card, choice, empty, icon, table, when } from "../components.js";
import { fill, h } from "../dom.js";
import { bytes, count, duration, plural, words } from "../format.js";
import { longList } from "../long-list.js";
import { offerRetraction } from "./retraction.js";

const EVERY_MS = 3000;
const NEWEST = 200;
const AT_ONCE = 15;

const STATES = {
  admitted: ["info", "waiting"],
  loaded: ["ok", "loaded"],
  quarantined: ["bad", "quarantined"],
  retracted: ["idle", "retracted"],
};
const FILTERS = [
  ["", "All"],
  ["admitted", "Waiting"],
  ["loaded", "Loaded"],
  ["quarantined", "Quarantined"],
  ["retracted", "Retracted"],
];

/**
 * Keep the files card in `place` up to date. Returns `tell(stream)`, which updates the number of waiting files.
 * `retracted()` is called after the user has requested a retraction.
 */
export function files(place, watch, canAct, retracted) {
  let filter = "";
  let list = null;
  let page = null;
  let shown = AT_ONCE;
  let backlog = null;

  const refresh = () => {
    list.now();
    retracted();
  };
  const act = {
    name: "Action",
    cell: (file) => (file.read > 0 && file.state !== "admitted" ? offerRetraction(file, refresh) : "–"),
  };

  function choose(value) {
    // Ignore a late response to the previous filter.
    list?.stop();
    [filter, page, shown] = [value, null, AT_ONCE];
    list = longList(watch, `stream/files?limit=${NEWEST}${filter && `&state=${filter}`}`, EVERY_MS, (found) => {
      page = found;
      draw();
    });
    draw();
  }

  function more() {
    shown += AT_ONCE * 2;
    if (shown > page.items.length && page.next) list.more();
    draw();
  }

  function draw() {
    const caption = "Files, newest first";
    const content = page
      ? table({
          caption,
          columns: canAct ? [...COLUMNS, act] : COLUMNS,
          rows: page.items.slice(0, shown),
          key: (file) => file.file_id,
          nothing: NOTHING[filter],
        })
      : empty("Loading files…");
    fill(
      place,
      card(
        "Files",
        { side: choice("State", FILTERS, filter, choose) },
        h("p", { class: "small quiet", "data-key": "waiting" }, backlog),
        content,
        page?.fault && h("p", { class: "is-bad" }, page.fault),
        page && (page.items.length > shown || page.next) && button("Older files", { onclick: more }),
      ),
    );
  }

  choose("");
  return (stream) => {
    backlog = waiting(stream);
    draw();
  };
}

/** The number of waiting files as text, including files in the landing folder that are not in the list yet. */
export function waiting({ backlog_files, backlog_bytes, backlog_unknown_since }) {
  const size = backlog_bytes ? ` (${bytes(backlog_bytes)})` : "";
  const files = backlog_files ? `${plural(backlog_files, "file")}${size} waiting` : "no files waiting";
  return backlog_unknown_since ? [`${files}, as of `, when(backlog_unknown_since), "; unknown since then"] : files;
}

const NOTHING = {
  "": "No files have been delivered yet.",
  admitted: "No files are waiting.",
  loaded: "No files have been loaded yet.",
  quarantined: "No files are quarantined.",
  retracted: "No files have been retracted.",
};

const COLUMNS = [
  { name: "File", cell: (file) => [h("code", {}, file.name), why(file)] },
  { name: "State", cell: (file) => badge(...STATES[file.state]) },
  { name: "Size", numeric: true, cell: (file) => bytes(file.size_bytes) },
  { name: "Read = accepted + duplicate + rejected", label: "Row balance", cell: balance },
  { name: "Arrived", cell: (file) => when(file.arrived_at) },
  { name: "Duration", numeric: true, cell: (file) => (file.finished_at ? duration(span(file)) : "–") },
];

const span = (file) => (Date.parse(file.finished_at) - Date.parse(file.arrived_at)) / 1000;

const sums = ({ read, accepted, duplicate, rejected }) =>
  `${count(read)} = ${count(accepted)} + ${count(duplicate)} + ${count(rejected)}`;

function why({ file_id, rejected, fault, fault_detail, last_error, failures, slices, extra_columns, retracted: taken }) {
  return [
    taken && h("div", { class: "small" }, `Retracted by ${taken.done_by} (${taken.reason}), `, when(taken.done_at)),
    rejected > 0 &&
      h(
        "div",
        { class: "small", "data-own": true, "data-key": `rejects-${file_id}` },
        button(`Reasons for ${plural(rejected, "rejected row")}`, {
          onclick: (event) => reasons(event.target.closest("[data-own]"), file_id),
        }),
      ),
    fault && h("div", { class: "is-bad small" }, fault_detail ?? fault),
    !fault && failures > 0 && h("div", { class: "is-warn small" }, `Failed ${plural(failures, "time")}: ${last_error}`),
    slices > 1 && h("div", { class: "quiet small" }, `in ${slices} slices`),
    extra_columns.length > 0 &&
      h("div", { class: "quiet small" }, `columns not in the contract: ${extra_columns.join(", ")}`),
  ];
}

/** Show why rows of a file were rejected: each reason with its count, its first line and, if permitted, that row. */
async function reasons(place, fileId) {
  try {
    const found = await get(`stream/files/${fileId}/rejects`);
    const line = ({ reason, rows, meaning, first_line, first_raw }) =>
      h(
        "li",
        { "data-key": reason },
        h("strong", {}, `${count(rows)} × ${words(reason)}`),
        meaning && `: ${meaning}`,
        ` First on line ${first_line}`,
        first_raw === null ? "." : [": ", h("code", {}, first_raw)],
      );
    fill(place, found.length ? h("ul", {}, found.map(line)) : "Retention has removed these rows.");
  } catch (error) {
    fill(
      place,
      h("span", { class: "is-bad" }, error.message),
      button("Try again", { onclick: () => reasons(place, fileId) }),
    );
  }
}

function balance({ state, read, accepted, duplicate, rejected, retracted: taken }) {
  if (taken) return h("span", { class: "quiet" }, `was ${sums(taken)}`);
  if (state !== "loaded") return "–";
  const isEven = read === accepted + duplicate + rejected;
  return [
    h("span", {}, `${sums({ read, accepted, duplicate, rejected })} `),
    isEven ? h("span", { class: "is-ok", title: "adds up" }, icon("check")) : badge("bad", "does not add up"),
  ];
}
