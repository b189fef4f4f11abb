// What was promised and how far it was kept; what failed, who was told, and who looks after it.

import { post } from "../api.js";
import { badge, button, card, empty, fold, table, when } from "../components.js";
import { confirmAction } from "../dialogs.js";
import { fill, h } from "../dom.js";
import { decimal, duration, exactTime, percent, plural, words } from "../format.js";
import { minutes, shareBar } from "../marks.js";
import { alerts } from "./alerts.js";

export const title = "Objectives and alerts";

const EVERY_MS = 5000;
const MISSES = 50;
const ACTIONS = 20;

const UNITS = { seconds: duration, share: percent, files: (value) => plural(value, "file") };
const DIRECTIONS = { at_most: "at most", at_least: "at least" };

/** How the values of an objective, or of one of its misses, are written. */
const writer = ({ unit }) => UNITS[unit] ?? decimal;

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
  const kept = watch(`objectives/misses?limit=${MISSES}`, EVERY_MS, ({ items }) => {
    const refresh = () => Promise.all([kept.now(), log.now()]);
    fill(misses, missed(items, visitor.can_act, refresh));
  });
  const log = watch(`actions?limit=${ACTIONS}`, EVERY_MS, ({ items }) => fill(actions, trail(items)));
}

function board(objectives) {
  if (objectives.length === 0)
    return card("Objectives", {}, empty("No minute has been judged yet: it is done each minute."));
  return h("div", { class: "tiles" }, objectives.map(objective));
}

function objective(one) {
  const { objective: id, title: promise, measures, value, bound, direction, is_met, minute, missed_since } = one;
  const { this_month, earlier_months, recent, target = null } = one;
  const write = writer(one);
  const lost = this_month.minutes - this_month.met;
  const month = new Intl.DateTimeFormat(undefined, { month: "long", year: "numeric", timeZone: "UTC" });
  const isBelow = target !== null && this_month.attainment !== null && this_month.attainment < target;
  return h(
    "section",
    { class: "card tile", "data-key": id },
    h("h2", { title: measures }, words(id)),
    h(
      "p",
      { class: "value" },
      value === null ? "–" : write(value),
      h("span", { class: "unit" }, ` ${DIRECTIONS[direction] ?? "bound"} ${write(bound)}`),
    ),
    h("p", { class: "remark" }, promise),
    h(
      "p",
      { class: "remark row" },
      is_met ? badge("ok", value === null ? "nothing to measure" : "met") : badge("bad", "missed"),
      h("span", {}, missed_since ? ["since ", when(missed_since)] : when(minute)),
    ),
    h(
      "div",
      { class: "measure" },
      "This month",
      h("strong", {}, percent(this_month.attainment)),
      shareBar(this_month.attainment ?? 0, isBelow ? "is-bad" : "is-ok"),
    ),
    h(
      "p",
      { class: "small quiet" },
      target !== null && [
        isBelow ? badge("bad", `below the target of ${percent(target)}`) : `target ${percent(target)}`,
        "; ",
      ],
      lost ? `${duration(lost * 60)} missed of ${duration(this_month.minutes * 60)}` : "no minute missed",
    ),
    h("div", { class: "course" }, minutes(recent)),
    h("p", { class: "small quiet" }, `the last ${plural(recent.length, "minute")}`),
    earlier_months.length > 0 &&
      fold(
        "earlier",
        h("span", { class: "small" }, "Earlier months"),
        h(
          "ul",
          { class: "small" },
          earlier_months.map((one) =>
            h("li", { "data-key": one.month }, `${month.format(new Date(one.month))}: ${percent(one.attainment)}`),
          ),
        ),
      ),
  );
}

function missed(misses, canAct, refresh) {
  const caption = "Misses";
  const lasted = ({ began_at, ended_at }) =>
    ended_at ? duration((Date.parse(ended_at) - Date.parse(began_at)) / 1000) : badge("bad", "not over");
  const seen = (miss) => {
    if (miss.acknowledged_at)
      return [
        h("div", {}, `${miss.acknowledged_by}, `, when(miss.acknowledged_at)),
        h("div", { class: "small quiet" }, miss.note),
      ];
    return canAct ? button("Acknowledge", { onclick: () => acknowledge(miss, refresh) }) : "nobody yet";
  };
  const columns = [
    { name: "Objective", cell: (miss) => h("strong", {}, words(miss.objective)) },
    { name: "Began", cell: (miss) => when(miss.began_at) },
    { name: "Lasted", cell: lasted },
    { name: "Worst", numeric: true, cell: (miss) => writer(miss)(miss.worst_value) },
    { name: "Bound", numeric: true, cell: (miss) => writer(miss)(miss.bound) },
    { name: "Cause", cell: (miss) => miss.cause ?? h("span", { class: "quiet" }, "not known") },
    { name: "Acknowledged", cell: seen },
  ];
  return card(
    caption,
    {},
    table({ caption, columns, rows: misses, key: (miss) => miss.miss_id, nothing: "No objective has been missed." }),
  );
}

const acknowledge = (miss, refresh) =>
  confirmAction({
    title: "Acknowledge this miss?",
    explain: `${words(miss.objective)}, began ${exactTime(miss.began_at)}. Say what you know of it.`,
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
};

function trail(actions) {
  const caption = "What people did";
  const columns = [
    { name: "When", cell: (one) => when(one.acted_at) },
    { name: "Who", cell: (one) => one.actor },
    { name: "What", cell: (one) => `${DEEDS[one.action] ?? one.action} ${one.subject}` },
    { name: "Why", cell: (one) => one.reason ?? "–" },
  ];
  return card(
    caption,
    {},
    table({
      caption,
      columns,
      rows: actions,
      key: (one) => one.action_id,
      nothing: "Nothing has been done through the cockpit yet.",
    }),
  );
}
