// Actions are confirmed in a dialog, with a reason. <dialog> keeps the focus inside, closes on Escape, and gives the focus
// back to what opened it.

import { button, icon } from "./components.js";
import { fill, h } from "./dom.js";

const SHORTEST_REASON = 3;

/**
 * Ask before something is done.
 *
 * `act(reason)` does it and may fail: the dialog then stays and tells why. `done()` is called when it succeeded.
 */
export function confirmAction({ title, explain, confirm, label = "Reason", hint, look = "primary", act, done }) {
  const reason = h("textarea", {
    id: "reason",
    name: "reason",
    rows: 3,
    required: true,
    minlength: SHORTEST_REASON,
    maxlength: 1000,
    "aria-describedby": "hint",
  });
  const fault = h("div", { class: "fault", role: "alert" });
  const submit = h("button", { type: "submit", class: look }, confirm);
  const cancel = button("Cancel", { onclick: () => dialog.close() });
  const form = h(
    "form",
    { novalidate: true },
    h("h2", { id: "dialog-title" }, title),
    h("p", {}, explain),
    h("label", { for: "reason" }, label),
    reason,
    h("p", { class: "hint", id: "hint" }, hint ?? "It becomes part of the audit trail, and others read it."),
    fault,
    h("div", { class: "buttons" }, cancel, submit),
  );
  const dialog = h("dialog", { "aria-labelledby": "dialog-title" }, form);
  const complain = (text) => fill(fault, text && [icon("bad"), h("span", {}, text)]);

  form.onsubmit = async (event) => {
    event.preventDefault();
    const text = reason.value.trim();
    reason.setAttribute("aria-invalid", String(text.length < SHORTEST_REASON));
    if (text.length < SHORTEST_REASON) {
      complain(`Say why, in ${SHORTEST_REASON} characters or more.`);
      reason.focus();
      return;
    }
    complain(null);
    submit.disabled = true;
    try {
      await act(text);
      dialog.close();
      done?.();
    } catch (error) {
      complain(error.message);
      submit.disabled = false;
      submit.focus();
    }
  };
  dialog.onclose = () => dialog.remove();
  document.body.append(dialog);
  dialog.showModal();
  reason.focus();
}
