// Alerts: the open ones with every message about them, and those that are over.

import { get, post } from "../api.js";
import { badge, button, card, choice, empty, fold, icon, link, severityKind, table, when } from "../components.js";
import { confirmAction } from "../dialogs.js";
import { fill, h } from "../dom.js";
import { plural } from "../format.js";

const EVERY_MS = 3000;
const DELIVERIES_EVERY_MS = 10_000;
const LIMIT = 50;
// Of as many open alerts it is fetched without being asked who was told.
const TOLD_AT_ONCE = 20;

const DELIVERY = { due: ["info", "due"], sent: ["ok", "sent"], failed: ["bad", "failed"] };
const TABS = [
  ["open", "Open"],
  ["resolved", "Over"],
];

/** Keep the card of alerts in `place` up to date; `summarize(badges)` says it in short; `onAction` after each action. */
export function alerts(place, watch, visitor, summarize, onAction) {
  const lists = { open: null, resolved: null };
  const deliveries = new Map(); // by alert_id
  const opened = new Set();
  let tab = "open";

  async function fetchDeliveries() {
    const told = (lists.open ?? []).slice(0, TOLD_AT_ONCE).map((alert) => alert.alert_id);
    await Promise.all(
      [...new Set([...told, ...opened])].map(async (id) => {
        const detail = await get(`alerts/${id}`).catch(() => null);
        if (detail) deliveries.set(id, detail.deliveries);
      }),
    );
    draw();
  }

  const act = (alert, verb, texts) =>
    confirmAction({
      ...texts,
      explain: alert.title,
      act: (reason) => post(`alerts/${alert.alert_id}/${verb}`, { reason }),
      done: () => Promise.all([open.now(), over.now(), onAction()]),
    });

  function draw() {
    const shown = lists[tab];
    const onToggle = (id, isOpen) => {
      opened[isOpen ? "add" : "delete"](id);
      if (isOpen) fetchDeliveries();
    };
    const content =
      shown === null
        ? empty("Fetching alerts…")
        : shown.length === 0
          ? empty(tab === "open" ? [badge("ok", "No alert is open")] : "No alert is over yet.")
          : h(
              "div",
              { class: "rows" },
              shown.map((alert) => one(alert, deliveries.get(alert.alert_id), visitor, act, onToggle)),
            );
    const choose = (value) => {
      tab = value;
      draw();
    };
    fill(place, card("Alerts", { side: choice("State of alerts", TABS, tab, choose) }, content));
  }

  const open = watch(`alerts?state=open&limit=${LIMIT}`, EVERY_MS, ({ items }) => {
    lists.open = items;
    const waiting = items.filter((alert) => !alert.acknowledged_at).length;
    const worst = items.some((alert) => alert.severity === "critical") ? "bad" : "warn";
    const words = `${plural(items.length, "open alert")}${waiting ? `, ${waiting} not acknowledged` : ", all acknowledged"}`;
    summarize(items.length ? badge(worst, words) : badge("ok", "no open alert"));
    draw();
    fetchDeliveries();
  });
  const over = watch(`alerts?state=resolved&limit=${LIMIT}`, EVERY_MS * 3, ({ items }) => {
    lists.resolved = items;
    draw();
  });
  setInterval(() => document.hidden || fetchDeliveries(), DELIVERIES_EVERY_MS);
}

function one(alert, deliveries, visitor, act, onToggle) {
  const { alert_id, severity, source, title, owner, occurrences, raised_at, last_raised_at, resolved_at, resolution } =
    alert;
  const summary = h(
    "div",
    { class: "row" },
    h("span", { class: "state" }, badge(severityKind(severity), severity)),
    h(
      "div",
      { class: "grow" },
      h("strong", {}, title),
      h(
        "div",
        { class: "small quiet" },
        `${source}, owner ${owner}, `,
        when(raised_at),
        occurrences > 1 && [`; ${plural(occurrences, "time")}, last `, when(last_raised_at)],
        resolved_at && ["; over ", when(resolved_at), `: ${resolution}`],
      ),
    ),
    told(deliveries),
    alert.acknowledged_at ? badge("ok", "acknowledged") : !resolved_at && badge("idle", "not acknowledged"),
  );
  const details = fold(
    `alert-${alert_id}`,
    summary,
    h("pre", {}, alert.detail),
    alert.acknowledged_at &&
      h(
        "p",
        { class: "small" },
        icon("note"),
        ` ${alert.acknowledged_by}, `,
        when(alert.acknowledged_at),
        alert.note && `: ${alert.note}`,
      ),
    h(
      "div",
      { class: "row" },
      alert.runbook_url && link(alert.runbook_url, "What to do"),
      alert.url && link(alert.url, "Where it failed"),
    ),
    messages(deliveries, title),
    visitor.can_act && !resolved_at && h("div", { class: "buttons" }, offers(alert, visitor, act)),
  );
  details.ontoggle = (event) => onToggle(alert_id, event.target.open);
  return details;
}

// Who has acknowledged an alert may write another note; others talk to that person.
const offers = (alert, visitor, act) => [
  [null, visitor.name].includes(alert.acknowledged_by) &&
    button(alert.acknowledged_by ? "Change the note" : "Acknowledge", {
      symbol: alert.acknowledged_by ? "note" : "check",
      key: "acknowledge",
      onclick: () =>
        act(alert, "acknowledge", {
          title: alert.acknowledged_by ? "Write another note?" : "Acknowledge this alert?",
          confirm: alert.acknowledged_by ? "Save the note" : "Acknowledge the alert",
          label: "Note",
          hint: "What you know, or what you do about it. Others read it.",
        }),
    }),
  button("Resolve", {
    key: "resolve",
    onclick: () =>
      act(alert, "resolve", {
        title: "Resolve this alert by hand?",
        confirm: "Resolve the alert",
        label: "How it ended",
        hint: "An alert whose cause lasts is raised again.",
      }),
  }),
];

/** Who was told, in a word. */
function told(deliveries) {
  if (!deliveries) return null;
  if (deliveries.length === 0) return badge("idle", "no channel");
  const count = (state) => deliveries.filter((one) => one.state === state).length;
  if (count("failed")) return badge("bad", `${plural(count("failed"), "message")} failed`);
  return count("due")
    ? badge("info", `${plural(count("due"), "message")} due`)
    : badge("ok", `${plural(count("sent"), "message")} sent`);
}

function messages(deliveries, title) {
  if (!deliveries) return h("p", { class: "quiet" }, "Fetching the messages about it…");
  const columns = [
    { name: "Channel", cell: (one) => h("code", {}, one.channel) },
    { name: "Occasion", cell: (one) => one.occasion },
    { name: "State", cell: (one) => badge(...DELIVERY[one.state]) },
    { name: "When", cell: (one) => when(one.sent_at ?? one.due_at) },
    { name: "Attempts", numeric: true, cell: (one) => one.attempts },
    { name: "Last error", cell: (one) => one.last_error ?? "–" },
  ];
  const nothing = "Nobody was sent a message: no channel is configured.";
  return table({
    caption: `Messages about ${title}`,
    columns,
    rows: deliveries,
    key: (one) => one.delivery_id,
    nothing,
  });
}
