// Dialogs that confirm actions and ask for a reason. <dialog> keeps the focus inside, closes on Escape, and returns the
// focus to the element that opened it.

import { button, icon } from "./components.js";
import { fill, h } from "./dom.js";

const SHORTEST_REASON = 3;

/** Open a dialog, and call `onclose()` when it closes. Returns `{ body, close }`, where `body` takes the content. */
export function openDialog(title, { look = "", onclose } = {}) {
  const body = h("div", { class: "body" });
  const dialog = h(
    "dialog",
    { "aria-labelledby": "dialog-title", class: look },
    h("h2", { id: "dialog-title" }, title),
    body,
  );
  dialog.onclose = () => {
    dialog.remove();
    onclose?.();
  };
  document.body.append(dialog);
  dialog.showModal();
  return { body, close: () => dialog.close() };
}

/**
 * A form that asks for a reason and then acts. `content` is shown above the field, `others` are buttons next to the
 * submit button. If `act(reason)` fails, the form stays open and shows the error.
 */
export function reasonForm({ content, confirm, label = "Reason", hint, value = "", look = "primary", act, others }) {
  const reason = h("textarea", {
    id: "reason",
    name: "reason",
    rows: 3,
    required: true,
    minlength: SHORTEST_REASON,
    maxlength: 1000,
    "aria-describedby": "hint",
  });
  reason.value = value;
  const fault = h("div", { class: "fault", role: "alert" });
  const submit = h("button", { type: "submit", class: look }, confirm);
  const complain = (text) => fill(fault, text && [icon("bad"), h("span", {}, text)]);

  /** Run an action with the reason, if the reason is valid. */
  async function perform(deed, pressed) {
    const text = reason.value.trim();
    reason.setAttribute("aria-invalid", String(text.length < SHORTEST_REASON));
    if (text.length < SHORTEST_REASON) {
      complain(`Enter a reason of at least ${SHORTEST_REASON} characters.`);
      reason.focus();
      return;
    }
    complain(null);
    pressed.disabled = true;
    try {
      await deed(text);
    } catch (error) {
      complain(error.message);
      pressed.disabled = false;
      pressed.focus();
    }
  }

  const form = h(
    "form",
    { novalidate: true },
    content,
    h("label", { for: "reason" }, label),
    reason,
    h("p", { class: "hint", id: "hint" }, hint ?? "The reason is stored in the audit trail, where others can read it."),
    fault,
    h("div", { class: "buttons" }, others?.((deed) => (event) => perform(deed, event.currentTarget)), submit),
  );
  form.onsubmit = (event) => {
    event.preventDefault();
    perform(act, submit);
  };
  return form;
}

/**
 * Ask for confirmation and a reason before an action.
 *
 * `act(reason)` performs the action. If it fails, the dialog stays open and shows the error; on success `done()` is
 * called.
 */
export function confirmAction({ title, explain, act, done, ...form }) {
  const { body, close } = openDialog(title);
  body.append(
    reasonForm({
      ...form,
      content: h("p", {}, explain),
      others: () => button("Cancel", { onclick: close }),
      act: async (reason) => {
        await act(reason);
        close();
        done?.();
      },
    }),
  );
  body.querySelector("textarea").focus();
}
