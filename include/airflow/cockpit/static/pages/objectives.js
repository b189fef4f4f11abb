// Objectives and how far they were met; alerts, their notifications, and who looks after them.

import { post } from "../api.js";
import { badge, button, card, table, when } from "../components.js";
import { confirmAction } from "../dialogs.js";
import { fill, h } from "../dom.js";
import { duration, exactTime, plural, words } from "../format.js";
import { longList } from "../long-list.js";
import { alerts } from "./alerts.js";
import { board, writer } from "./board.js";

export const title = "Objectives and alerts";

const EVERY_MS = 5000;
const MISSES = 50;
const ACTIONS = 20;

export async function start({ main, me, watch }) {
  const lead = h("div", { class: "lead", role: "status" }, h("h1", {}, title));
  const alarms = h("div");
  const objectives = h("div");
  const misses = h("div");
  const actions = h("div");
  main.append(lead, alarms, objectives, misses, actions);

  const visitor = await me;
  const said = { objectives: null, alerts: null };
  const summarize = (part, badges) => {
    said[part] = badges;
    fill(lead, h("h1", {}, title), said.alerts, said.objectives);
  };

  alerts(
    alarms,
    watch,
    visitor,
    (badges) => summarize("alerts", badges),
    () => log.now(),
  );
  watch("objectives", EVERY_MS, (data) => {
    const missed = data.filter((one) => !one.is_met).length;
    const met = data.length > 0 && badge("ok", `${plural(data.length, "objective")} met`);
    summarize("objectives", missed ? badge("bad", `${plural(missed, "objective")} missed`) : met);
    fill(objectives, board(data));
  });
  const kept = longList(watch, `objectives/misses?limit=${MISSES}`, EVERY_MS, ({ items, next, fault }) => {
    const refresh = () => Promise.all([kept.now(), log.now()]);
    fill(misses, missed(items, visitor.can_act, refresh, more("Older misses", kept, next, fault)));
  });
  const log = longList(watch, `actions?limit=${ACTIONS}`, EVERY_MS, ({ items, next, fault }) =>
    fill(actions, trail(items, more("Older actions", log, next, fault))),
  );
}

/** The error and the button below a list that has more pages. */
const more = (label, list, next, fault) => [
  fault && h("p", { class: "is-bad" }, fault),
  next && button(label, { onclick: () => list.more() }),
];

function missed(misses, canAct, refresh, rest) {
  const caption = "Misses";
  const lasted = ({ began_at, ended_at }) =>
    ended_at ? duration((Date.parse(ended_at) - Date.parse(began_at)) / 1000) : badge("bad", "ongoing");
  const seen = (miss) => {
    if (miss.acknowledged_at)
      return [
        h("div", {}, `${miss.acknowledged_by}, `, when(miss.acknowledged_at)),
        h("div", { class: "small quiet" }, miss.note),
      ];
    return canAct ? button("Acknowledge", { onclick: () => acknowledge(miss, refresh) }) : "not acknowledged";
  };
  const columns = [
    { name: "Objective", cell: (miss) => h("strong", {}, words(miss.objective)) },
    { name: "Started", cell: (miss) => when(miss.began_at) },
    { name: "Duration", cell: lasted },
    { name: "Worst", numeric: true, cell: (miss) => writer(miss.unit)(miss.worst_value) },
    { name: "Bound", numeric: true, cell: (miss) => writer(miss.unit)(miss.bound) },
    { name: "Cause", cell: (miss) => miss.cause ?? h("span", { class: "quiet" }, "unknown") },
    { name: "Acknowledged", cell: seen },
  ];
  return card(
    caption,
    {},
    table({ caption, columns, rows: misses, key: (miss) => miss.miss_id, nothing: "No objective has been missed." }),
    rest,
  );
}

const acknowledge = (miss, refresh) =>
  confirmAction({
    title: "Acknowledge this miss?",
    explain: `${words(miss.objective)}, started ${exactTime(miss.began_at)}. Note what you know about it.`,
    confirm: "Acknowledge the miss",
    label: "Note",
    act: (reason) => post(`objectives/misses/${miss.miss_id}/acknowledge`, { reason }),
    done: refresh,
  });

const DEEDS = {
  "stream.pause": "paused",
  "stream.resume": "resumed",
  "stream.drain": "drained",
  "alert.acknowledge": "acknowledged",
  "alert.resolve": "resolved",
  "miss.acknowledge": "acknowledged",
  "file.retract": "requested the retraction of",
  "retraction.approve": "approved the retraction of",
  "retraction.reject": "rejected the retraction of",
  "view.publish": "allowed publication despite failed checks:",
  "view.hold": "held back again:",
};

function trail(actions, rest) {
  const caption = "Audit trail";
  const columns = [
    { name: "Time", cell: (one) => when(one.acted_at) },
    { name: "User", cell: (one) => one.actor },
    { name: "Action", cell: (one) => `${DEEDS[one.action] ?? one.action} ${one.subject}` },
    { name: "Reason", cell: (one) => one.reason ?? "–" },
  ];
  return card(
    caption,
    {},
    table({
      caption,
      columns,
      rows: actions,
      key: (one) => one.action_id,
      nothing: "No actions have been taken yet.",
    }),
    rest,
  );
}
