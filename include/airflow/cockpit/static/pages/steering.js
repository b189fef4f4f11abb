// Pausing, draining and resuming the stream.

import { post } from "../api.js";
import { button } from "../components.js";
import { confirmAction } from "../dialogs.js";
import { h } from "../dom.js";

// What makes sense beside what is wished now.
const OFFERS = { run: ["pause", "drain"], drain: ["resume", "pause"], stop: ["resume"] };

const ACTIONS = {
  pause: {
    label: "Pause",
    symbol: "pause",
    title: "Pause the stream?",
    explain: "It ends after the batch under way. Files that arrive wait: nothing is lost, and nothing new is shown.",
    confirm: "Pause the stream",
  },
  drain: {
    label: "Drain",
    symbol: "drain",
    title: "Drain the stream?",
    explain: "It loads every file that waits now, and then ends. Files that arrive later wait until you resume.",
    confirm: "Drain the stream",
  },
  resume: {
    label: "Resume",
    symbol: "play",
    title: "Resume the stream?",
    explain: "Airflow starts the driver again within seconds; it goes on with the oldest file that waits.",
    confirm: "Resume the stream",
  },
};

/** The buttons; `refresh()` is called after each act. */
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
  return h("div", { class: "buttons side", role: "group", "aria-label": "Actions" }, OFFERS[now.wish].map(ask));
}
