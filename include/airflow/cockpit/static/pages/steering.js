// Pausing, draining and resuming the stream.

import { post } from "../api.js";
import { button } from "../components.js";
import { confirmAction } from "../dialogs.js";
import { h } from "../dom.js";

// The actions that make sense for each desired state.
const OFFERS = { run: ["pause", "drain"], drain: ["resume", "pause"], stop: ["resume"] };

const ACTIONS = {
  pause: {
    label: "Pause",
    symbol: "pause",
    title: "Pause the stream?",
    explain: "The stream stops after the current batch. New files wait: nothing is lost, but figures stop updating.",
    confirm: "Pause the stream",
  },
  drain: {
    label: "Drain",
    symbol: "drain",
    title: "Drain the stream?",
    explain: "The stream loads all files that wait now, then stops. Files that arrive later wait until you resume.",
    confirm: "Drain the stream",
  },
  resume: {
    label: "Resume",
    symbol: "play",
    title: "Resume the stream?",
    explain: "Airflow restarts the driver within seconds. It continues with the oldest waiting file.",
    confirm: "Resume the stream",
  },
};

/** The buttons; `refresh()` is called after each action. */
export function offers(now, main, refresh) {
  const ask = (name) => {
    const { label, symbol, ...texts } = ACTIONS[name];
    const done = async () => {
      await refresh();
      // The button that was pressed may be gone.
      if (document.activeElement === document.body) main.querySelector(".buttons button")?.focus();
    };
    return button(label, {
      symbol,
      key: name,
      onclick: () => confirmAction({ ...texts, act: (reason) => post(`stream/${name}`, { reason }), done }),
    });
  };
  return h("div", { class: "buttons side", role: "group", "aria-label": "Actions" }, OFFERS[now.desired_state].map(ask));
}
