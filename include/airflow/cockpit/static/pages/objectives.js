// What was promised and how far it was kept; what failed, who was told, and who looks after it.

import { post } from "../api.js";
import { badge, button, card, empty, fold, table, when } from "../components.js";
import { confirmAction } from "../dialogs.js";
import { fill, h } from "../dom.js";
import { bytes, decimal, duration, percent, plural, words } from "../format.js";
import { minutes, shareBar } from "../marks.js";
import { alerts } from "./alerts.js";

export const title = "Objectives and alerts";

const EVERY_MS = 5000;
const MISSES = 50;
const ACTIONS = 20;

// An objective's name ends with the unit of its value.
const UNITS = { seconds: duration, share: percent, ratio: percent, files: (value) => plural(value, "file"), bytes };

/** The name of an objective without its unit, and how its values are written. */
function reading(objective) {
  const unit = objective.slice(objective.lastIndexOf("_") + 1);
  return UNITS[unit]
    ? { name: words(objective.slice(0, -unit.length - 1)), write: UNITS[unit] }
    : { name: words(objective), write: decimal };
}

export async function start({ main, me, watch }) {
  const lead = h("div", { class: "lead", role: "status" }, h("h1", {}, title));
  const alarms = h("div");
  const objectives = h("div");
  const misses = h("div");
  const actions = h("div");
  main.append(lead, alarms, objectives, misses, actions);

  const { can_act } = await me;
  const said = { objectives: null, alerts: null };
  const summarize = (part, badges) => {
    said[part] = badges;
    fill(lead, h("h1", {}, title), said.alerts, said.objectives);
  };

  alerts(alarms, watch, can_act, (badges) => summarize("alerts", badges), () => log.now());
  watch("objectives", EVERY_MS, (data) => {
    const missed = data.filter((one) => !one.is_met).length;
    const met = data.length > 0 && badge("ok", `${plural(data.length, "objective")} met`);
    summarize("objectives", missed ? badge("bad", `${plural(missed, "objective")} missed`) : met);
    fill(objectives, board(data));
  });
  const kept = watch(`objectives/misses?limit=${MISSES}`, EVERY_MS, ({ items }) => {
    const refresh = () => Promise.all([kept.now(), log.now()]);
    fill(misses, missed(items, can_act, refresh));
  });
  const log = watch(`actions?limit=${ACTIONS}`, EVERY_MS, ({ items }) => fill(actions, trail(items)));
}

function board(objectives) {
  if (objectives.length === 0) return card("Objectives", {}, empty("No minute has been judged yet: it is done each minute."));
  return h("div", { class: "tiles" }, objectives.map(objective));
}

function objective({ objective: id, value, bound, is_met, minute, missed_since, this_month, earlier_months, recent }) {
  const { name, write } = reading(id);
  const lost = this_month.minutes - this_month.met;
  const month = new Intl.DateTimeFormat(undefined, { month: "long", year: "numeric", timeZone: "UTC" });
  return h(
    "section",
    { class: "card tile", "data-key": id },
    h("h2", {}, name),
    h("p", { class: "value" }, value === null ? "–" : write(value), h("span", { class: "unit" }, ` of ${write(bound)}`)),
    h(
      "p",
      { class: "remark" },
      is_met ? badge("ok", value === null ? "nothing to measure" : "met") : badge("bad", "missed"),
      missed_since && [" since ", when(missed_since)],
      " in the minute of ",
      when(minute),
    ),
    h("div", { class: "measure" }, "This month", h("strong", {}, percent(this_month.attainment)), shareBar(this_month.attainment ?? 0, lost ? "is-warn" : "is-ok")),
    h("p", { class: "small quiet" }, lost ? `${duration(lost * 60)} missed of ${duration(this_month.minutes * 60)}` : "no minute missed"),
    h("div", {}, minutes(recent)),
    h("p", { class: "small quiet" }, `the last ${plural(recent.length, "minute")}`),
    earlier_months.length > 0 &&
      fold(
        "earlier",
        h("span", { class: "small" }, "Earlier months"),
        h("ul", { class: "small" }, earlier_months.map((one) => h("li", { "data-key": one.month }, `${month.format(new Date(one.month))}: ${percent(one.attainment)}`))),
      ),
  );
}

function missed(misses, canAct, refresh) {
  const caption = "Misses";
  const lasted = ({ began_at, ended_at }) =>
    ended_at ? duration((Date.parse(ended_at) - Date.parse(began_at)) / 1000) : badge("bad", "not over");
  const seen = (miss) => {
    if (miss.acknowledged_at)
      return [h("div", {}, `${miss.acknowledged_by}, `, when(miss.acknowledged_at)), h("div", { class: "small quiet" }, miss.note)];
    return canAct ? button("Acknowledge", { onclick: () => acknowledge(miss, refresh) }) : "nobody yet";
  };
  const columns = [
    { name: "Objective", cell: (miss) => h("strong", {}, reading(miss.objective).name) },
    { name: "Began", cell: (miss) => when(miss.began_at) },
    { name: "Lasted", cell: lasted },
    { name: "Worst", numeric: true, cell: (miss) => reading(miss.objective).write(miss.worst_value) },
    { name: "Bound", numeric: true, cell: (miss) => reading(miss.objective).write(miss.bound) },
    { name: "Cause", cell: (miss) => miss.cause ?? h("span", { class: "quiet" }, "not known") },
    { name: "Acknowledged", cell: seen },
  ];
  return card(caption, {}, table({ caption, columns, rows: misses, key: (miss) => miss.miss_id, nothing: "No objective has been missed." }));
}

const acknowledge = (miss, refresh) =>
  confirmAction({
    title: "Acknowledge this miss?",
    explain: `${reading(miss.objective).name}, began ${new Date(miss.began_at).toLocaleString()}. It says that you have seen it and what you know of it.`,
    confirm: "Acknowledge the miss",
    label: "Note",
    act: (reason) => post(`objectives/misses/${miss.miss_id}/acknowledge`, { reason }),
    done: refresh,
  });

function trail(actions) {
  const caption = "What people did";
  const columns = [
    { name: "When", cell: (one) => when(one.acted_at) },
    { name: "Who", cell: (one) => one.actor },
    { name: "What", cell: (one) => `${words(one.action.replace(".", " "))}: ${one.subject}` },
    { name: "Why", cell: (one) => one.reason ?? "–" },
  ];
  return card(caption, {}, table({ caption, columns, rows: actions, key: (one) => one.action_id, nothing: "Nothing has been done through the cockpit yet." }));
}
