// Open and resolved alerts, each with its notifications.

import { get, post } from "../api.js";
import { badge, button, card, choice, empty, fold, icon, link, severityKind, table, when } from "../components.js";
import { confirmAction } from "../dialogs.js";
import { fill, h } from "../dom.js";
import { count, plural } from "../format.js";
import { longList } from "../long-list.js";

const EVERY_MS = 3000;
const LIMIT = 50;

const DELIVERY = { due: ["info", "due"], sent: ["ok", "sent"], failed: ["bad", "failed"] };
const TABS = [
  ["open", "Open"],
  ["resolved", "Resolved"],
];

/**
 * Keep the alerts card in `place` up to date. Calls `summarize(badges)` with a short summary, and `onAction()` after
 * each action.
 */
export function alerts(place, watch, visitor, summarize, onAction) {
  const lists = { open: null, resolved: null };
  const deliveries = new Map(); // by alert_id
  const opened = new Set();
  let tab = "open";

  async function fetchDeliveries() {
    await Promise.all(
      [...opened].map(async (id) => {
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
      done: () => Promise.all([parts.open.now(), parts.resolved.now(), onAction()]),
    });

  function draw() {
    const shown = lists[tab]?.items ?? null;
    const onToggle = (id, isOpen) => {
      opened[isOpen ? "add" : "delete"](id);
      if (isOpen) fetchDeliveries();
    };
    const content =
      shown === null
        ? empty("Loading alerts…")
        : shown.length === 0
          ? empty(tab === "open" ? [badge("ok", "No open alerts")] : "No resolved alerts yet.")
          : h(
              "div",
              { class: "rows" },
              shown.map((alert) => one(alert, deliveries.get(alert.alert_id), visitor, act, onToggle)),
            );
    const choose = (value) => {
      tab = value;
      draw();
    };
    fill(
      place,
      card(
        "Alerts",
        { side: choice("State of alerts", TABS, tab, choose) },
        content,
        lists[tab]?.fault && h("p", { class: "is-bad" }, lists[tab].fault),
        lists[tab]?.next && button("Older alerts", { onclick: () => parts[tab].more() }),
      ),
    );
  }

  const parts = {
    open: longList(watch, `alerts?state=open&limit=${LIMIT}`, EVERY_MS, (page) => {
      lists.open = page;
      const { critical, warning, info } = page.open_alerts;
      const all = critical + warning + info;
      const acknowledged = page.unacknowledged ? `${count(page.unacknowledged)} not acknowledged` : "all acknowledged";
      const words = `${plural(all, "open alert")}, ${acknowledged}`;
      summarize(all ? badge(critical ? "bad" : "warn", words) : badge("ok", "no open alerts"));
      draw();
      fetchDeliveries();
    }),
    resolved: longList(watch, `alerts?state=resolved&limit=${LIMIT}`, EVERY_MS * 3, (page) => {
      lists.resolved = page;
      draw();
    }),
  };
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
        resolved_at && ["; resolved ", when(resolved_at), `: ${resolution}`],
      ),
    ),
    messagesOf(alert.messages),
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
      alert.runbook_url && link(alert.runbook_url, "Runbook"),
      alert.url && link(alert.url, "Where it failed"),
    ),
    messages(deliveries, title),
    visitor.can_act && !resolved_at && h("div", { class: "buttons" }, offers(alert, visitor, act)),
  );
  details.ontoggle = (event) => onToggle(alert_id, event.target.open);
  return details;
}

// Only the user who acknowledged an alert may change its note.
const offers = (alert, visitor, act) => [
  [null, visitor.name].includes(alert.acknowledged_by) &&
    button(alert.acknowledged_by ? "Change the note" : "Acknowledge", {
      symbol: alert.acknowledged_by ? "note" : "check",
      key: "acknowledge",
      onclick: () =>
        act(alert, "acknowledge", {
          title: alert.acknowledged_by ? "Change the note?" : "Acknowledge this alert?",
          confirm: alert.acknowledged_by ? "Save the note" : "Acknowledge the alert",
          label: "Note",
          hint: "What you know about it, or what you are doing about it. Others can read the note.",
        }),
    }),
  button("Resolve", {
    key: "resolve",
    onclick: () =>
      act(alert, "resolve", {
        title: "Resolve this alert manually?",
        confirm: "Resolve the alert",
        label: "Resolution",
        hint: "If the cause persists, the alert is raised again.",
      }),
  }),
];

/** Summarize the notifications of an alert. */
function messagesOf({ due, sent, failed }) {
  if (failed) return badge("bad", `${plural(failed, "notification")} failed`);
  if (due) return badge("info", `${plural(due, "notification")} due`);
  return sent ? badge("ok", `${plural(sent, "notification")} sent`) : badge("idle", "no notification");
}

function messages(deliveries, title) {
  if (!deliveries) return h("p", { class: "quiet" }, "Loading notifications…");
  const columns = [
    { name: "Channel", cell: (one) => h("code", {}, one.channel) },
    { name: "Occasion", cell: (one) => one.occasion },
    { name: "State", cell: (one) => badge(...DELIVERY[one.state]) },
    { name: "Time", cell: (one) => when(one.sent_at ?? one.due_at) },
    { name: "Attempts", numeric: true, cell: (one) => one.attempts },
    { name: "Last error", cell: (one) => one.last_error ?? "–" },
  ];
  const nothing = "No notification was sent, because no channel is configured.";
  return table({
    caption: `Notifications about ${title}`,
    columns,
    rows: deliveries,
    key: (one) => one.delivery_id,
    nothing,
  });
}
