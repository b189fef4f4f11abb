// Overrides: a user publishes a view that is held back, or revokes that decision.

import { post } from "../api.js";
import { badge, button } from "../components.js";
import { confirmAction } from "../dialogs.js";
import { h } from "../dom.js";
import { exactTime, plural } from "../format.js";

const CONFIRM = "Publish anyway";

/** The overrides of a view: the one that published the current state, and the one for the next refresh. */
export function decided(view) {
  const until = view.pending_until ? `until ${exactTime(view.pending_until)}` : "with the next refresh";
  return [
    view.overrode && [
      badge("warn", "published despite failed checks"),
      h("p", { class: "small" }, `By ${view.overridden_by} (${view.override_reason}), despite ${view.overrode}`),
    ],
    view.pending_by && [
      badge("info", "will be published despite failed checks"),
      h("p", { class: "small" }, `Decided by ${view.pending_by} (${view.pending_reason}), ${until}`),
    ],
  ];
}

/** The button of a view. */
export function offer(view, refresh) {
  if (view.pending_by)
    return button("Hold back again", {
      onclick: () =>
        confirmAction({
          title: `Hold ${view.view_name} back again?`,
          explain: "This revokes all overrides that cover the view, including overrides for all views.",
          confirm: "Hold back",
          act: (reason) => post(`views/${view.view_name}/hold`, { reason }),
          done: refresh,
        }),
    });
  if (!view.is_held) return null;
  return button(CONFIRM, {
    onclick: () =>
      confirmAction({
        title: `Publish ${view.view_name} anyway?`,
        explain: `The next refresh is published despite these failed checks: ${view.held_because}. Any other failed check holds it back as before.`,
        confirm: CONFIRM,
        act: (reason) => post(`views/${view.view_name}/publish`, { reason }),
        done: refresh,
      }),
  });
}

/** A button for all held views, if there is more than one. */
export function offerAll(views, refresh) {
  const held = views.filter((view) => view.is_held && !view.pending_by);
  if (held.length < 2) return null;
  return button(`Publish all ${held.length} held views anyway`, {
    onclick: () =>
      confirmAction({
        title: `Publish ${plural(held.length, "held view")} anyway?`,
        explain: `The next refresh is published despite these failed checks: ${[...new Set(held.map((view) => view.held_because))].join("; ")}.`,
        confirm: CONFIRM,
        act: (reason) => post("views/publish", { reason }),
        done: refresh,
      }),
  });
}
