// Retraction of a delivery: requested with a reason, shown as a dry run, and executed once a user has approved it.

import { poll, post } from "../api.js";
import { badge, button, card, icon, link, notice, table, when } from "../components.js";
import { openDialog, reasonForm } from "../dialogs.js";
import { fill, h } from "../dom.js";
import { difference } from "../figures.js";
import { count, plural } from "../format.js";
import { longList } from "../long-list.js";

const FOLLOW_EVERY_MS = 1000;
const REQUESTS_EVERY_MS = 5000;
const RETRACTIONS = 10;

const PHASES = {
  previewing: ["info", "dry run in progress"],
  waiting: ["warn", "waiting for approval"],
  retracting: ["info", "retraction in progress"],
  done: ["ok", "retracted"],
  rejected: ["idle", "rejected"],
  expired: ["idle", "expired"],
  failed: ["bad", "failed"],
};

/** The button of a delivered file. */
export const offerRetraction = (file, refresh) =>
  button("Retract", {
    key: "retract",
    "aria-label": `Retract ${file.name}`,
    onclick: () => ask(file, refresh),
  });

/** Ask for a reason, then show the dry run. Nothing changes until the user approves it there. */
function ask(file, refresh) {
  let following = null;
  const { body, close } = openDialog("Retract this delivery?", {
    look: "wide",
    onclose: () => {
      following?.stop();
      refresh();
    },
  });
  fill(
    body,
    reasonForm({
      content: [
        h("p", {}, h("code", {}, file.name), ` contains ${plural(file.read, "row")}.`),
        h(
          "p",
          {},
          "A dry run first shows what would be removed, and how each published figure would change. Nothing is removed until you approve it.",
        ),
      ],
      label: "Reason for the retraction",
      confirm: "Start dry run",
      others: () => button("Cancel", { onclick: close }),
      act: async (reason) => {
        const { dag_run_id: runId } = await post(`files/${file.file_id}/retract`, { reason });
        following = follow(runId, body, close, true);
      },
    }),
  );
  body.querySelector("textarea").focus();
}

/** Open the dialog for an existing request. */
function open(request, canAct, refresh) {
  const { body, close } = openDialog(`Retract ${nameOf(request)}?`, {
    look: "wide",
    onclose: () => {
      following.stop();
      refresh();
    },
  });
  const following = follow(request.dag_run_id, body, close, canAct);
}

/** Show the progress of a request: the dry run, the decision, and the result. */
function follow(runId, body, close, canAct) {
  const path = `retractions/requests/${encodeURIComponent(runId)}`;
  let phase = null;
  const show = (request) => {
    // The user may be typing, so the form of a phase is created only once.
    if (request.phase === phase) return;
    phase = request.phase;
    body.replaceChildren(
      ...[stage(request, path, close, canAct, () => following.now())].flat(Infinity).filter(Boolean),
    );
    body.querySelector("textarea, button")?.focus();
  };
  const following = poll(path, FOLLOW_EVERY_MS, show, ({ error }) => {
    if (error && phase === null) fill(body, notice("bad", error.title, error.detail));
  });
  fill(body, working("Sending the request to Airflow…"), buttons(close));
  return following;
}

function stage(request, path, close, canAct, refresh) {
  const run = link(request.approval_url, "DAG run in Airflow");
  switch (request.phase) {
    case "previewing":
      return [
        working("Dry run in progress: the retraction is executed and rolled back…"),
        h("p", { class: "hint" }, "You can close this dialog; the request stays in the list below the files. ", run),
        buttons(close),
      ];
    case "waiting":
      return decision(request, path, close, canAct, refresh);
    case "retracting":
      return [
        working(`Approved by ${request.answered_by ?? "a user"}. Retraction in progress…`),
        h("p", { class: "hint" }, "You can close this dialog. ", run),
        buttons(close),
      ];
    case "done":
      return [
        notice("ok", "Retracted", request.retraction && done(request.retraction)),
        h(
          "p",
          {},
          "The next refresh publishes the figures without it; the Quality page shows the refresh and the restated figures. ",
          run,
        ),
        buttons(close),
      ];
    case "failed":
      return [
        notice("bad", "Nothing was changed", request.fault ?? "See the log of the run.", h("p", {}, run)),
        buttons(close),
      ];
    default:
      return [
        notice("info", "Nothing was changed", `The request ${said(request)}.`),
        buttons(close),
      ];
  }
}

function decision(request, path, close, canAct, refresh) {
  const shown = [
    h("p", {}, `Requested by ${request.requested_by ?? "a user"}: ${request.reason ?? ""}`),
    dryRun(request.dry_run),
  ];
  if (!canAct)
    return [...shown, h("p", { class: "hint" }, "Your role cannot approve or reject requests."), buttons(close)];
  const answer = (act) => async (reason) => {
    await post(`${path}/${act}`, { reason });
    await refresh();
  };
  return reasonForm({
    content: shown,
    value: request.reason ?? "",
    confirm: "Retract delivery",
    look: "primary danger",
    act: answer("approve"),
    others: (perform) => [
      button("Decide later", { onclick: close }),
      button("Reject request", { onclick: perform(answer("reject")) }),
    ],
  });
}

function dryRun(found) {
  if (!found) return null;
  const caption = "Published figures that would change";
  const columns = [
    { name: "Row", cell: (one) => Object.values(one.key).join(", ") },
    {
      name: "Old → new",
      cell: (one) => difference(one.before, one.after, { appears: "new row", goes: "row disappears" }),
    },
  ];
  const views = Object.entries(found.rows);
  const part = ([view, rows]) => {
    const changes = found.changes.filter((one) => one.view_name === view);
    return [
      h("h4", {}, h("code", {}, view), h("span", { class: "quiet small" }, ` ${plural(rows, "row")}`)),
      table({ caption: `Changes of ${view}`, columns, rows: changes, key: (one) => JSON.stringify(one.key) }),
      rows > changes.length && h("p", { class: "hint" }, `and ${plural(rows - changes.length, "more row")}`),
    ];
  };
  return h(
    "div",
    { class: "dry-run", tabindex: "0", role: "group", "aria-label": "Dry run" },
    h("h3", {}, "Rows that would be removed"),
    h(
      "ul",
      { class: "small" },
      found.brought.map((line) => h("li", {}, line)),
    ),
    h("h3", {}, caption),
    views.length ? views.map(part) : h("p", {}, "No published figure would change."),
  );
}

const working = (text) => h("p", { class: "working", role: "status" }, icon("drain"), h("span", {}, text));

const buttons = (close) => h("div", { class: "buttons" }, button("Close", { onclick: close }));

const done = ({ files, events, reassigned, rejects, duplicates }) =>
  [
    `${plural(files, "file")}: ${plural(events - reassigned, "event")}, ${plural(rejects, "rejected row")} and ${plural(duplicates, "duplicate")} removed`,
    reassigned > 0 && `${plural(reassigned, "event")} kept, because another delivery contains them too`,
  ]
    .filter(Boolean)
    .join("; ");

const said = ({ phase, answered_by: who }) =>
  phase === "rejected" ? `was rejected by ${who ?? "a user"}` : "was not answered in time, which counts as a rejection";

const nameOf = ({ file_name: name, selection }) =>
  name ??
  Object.entries(selection)
    .map(([key, value]) => `${key} ${value}`)
    .join(", ");

/** Keep the card in `place` up to date: open requests, and completed retractions. Returns `now()`. */
export function retractions(place, watch, canAct) {
  let asked = [];
  let page = null;
  const draw = () => page && fill(place, taken(page, asked, canAct, now, () => list.more()));
  const requests = watch("retractions/requests", REQUESTS_EVERY_MS, (found) => {
    asked = found.filter((one) => one.phase !== "done");
    draw();
  });
  const list = longList(watch, `retractions?limit=${RETRACTIONS}`, REQUESTS_EVERY_MS, (found) => {
    page = found;
    draw();
  });
  const now = () => Promise.all([requests.now(), list.now()]);
  return now;
}

function taken({ items, next, fault }, asked, canAct, now, more) {
  const caption = "Retractions";
  const files = (one) => [
    h("code", {}, one.names[0] ?? "–"),
    one.files > 1 && h("div", { class: "small quiet" }, `and ${plural(one.files - 1, "more file")}`),
  ];
  const columns = [
    { name: "File", cell: files },
    { name: "Events", numeric: true, cell: (one) => count(one.events - one.reassigned) },
    { name: "Rejected rows", numeric: true, cell: (one) => count(one.rejects) },
    { name: "Time", cell: (one) => when(one.done_at) },
    { name: "User", cell: (one) => one.done_by },
    { name: "Reason", cell: (one) => one.reason },
  ];
  return card(
    caption,
    { side: "removes everything that a delivery contained" },
    asked.length > 0 && requested(asked, canAct, now),
    table({
      caption,
      columns,
      rows: items,
      key: (one) => one.retraction_id,
      nothing: "No deliveries have been retracted.",
    }),
    fault && h("p", { class: "is-bad" }, fault),
    next && button("Older retractions", { onclick: more }),
  );
}

function requested(asked, canAct, now) {
  const caption = "Retraction requests";
  const columns = [
    { name: "Delivery", cell: (one) => h("code", {}, nameOf(one)) },
    {
      name: "State",
      cell: (one) => [badge(...PHASES[one.phase]), one.fault && h("p", { class: "small" }, one.fault)],
    },
    { name: "Time", cell: (one) => when(one.requested_at) },
    { name: "User", cell: (one) => one.requested_by ?? "–" },
    { name: "Reason", cell: (one) => one.reason ?? "–" },
    {
      name: "Action",
      cell: (one) =>
        button(canAct && one.phase === "waiting" ? "Review" : "Show", {
          onclick: () => open(one, canAct, now),
        }),
    },
  ];
  return [
    h("h3", { "data-key": "requests" }, "Requests"),
    table({ caption, columns, rows: asked, key: (one) => one.dag_run_id }),
    h("h3", { "data-key": "done" }, "Completed"),
  ];
}
