"""Format a preview as text for the terminal, as Markdown for the Airflow UI, and as data for the cockpit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from include.quality.results import MASK, PERSONAL_COLUMNS
from include.retraction.preview import Change, Preview
from include.retraction.retract import Brought

# Changes shown per view. If a delivery changes more rows, only their number is reported.
MOST_CHANGES = 10
MOST_DELIVERIES = 10


def name_deliveries(brought: Brought) -> str:
    """Return a short name of the deliveries: file 17 (prices.csv), or the number of files."""
    first, *others = brought.deliveries
    return f"{len(brought.deliveries):,} files" if others else f"file {first.file_id} ({first.name})"


def describe_brought(brought: Brought) -> Iterator[str]:
    """Yield lines that describe what the deliveries brought."""
    for one in brought.deliveries[:MOST_DELIVERIES]:
        yield (
            f"file {one.file_id} ({one.name}): {one.read:,} rows read = {one.accepted:,} accepted "
            f"+ {one.duplicate:,} duplicate + {one.rejected:,} rejected"
        )
    if len(brought.deliveries) > MOST_DELIVERIES:
        yield f"and {len(brought.deliveries) - MOST_DELIVERIES:,} more files"
    if brought.events:
        yield "events: " + ", ".join(f"{count:,} {kind}" for kind, count in brought.events.items())
    if brought.reassigned:
        yield f"{brought.reassigned:,} of these events stay: another delivery brought them too"


def describe_changes(found: Preview) -> Iterator[str]:
    """Yield lines that describe how the published figures will change, one for each row."""
    if not found.changes:
        yield "No published figure will change."
    rows = Counter(change.view_name for change in found.changes)
    shown = Counter[str]()
    for change in found.changes:
        shown[change.view_name] += 1
        if shown[change.view_name] <= MOST_CHANGES:
            yield f"{change.view_name} {_figures(change.key)}: {_difference(change)}"
        elif shown[change.view_name] == rows[change.view_name]:
            yield f"{change.view_name}: {rows[change.view_name]:,} rows change in all"


def as_markdown(found: Preview) -> str:
    """Return the whole preview as Markdown, for the operator who approves the retraction."""
    brought = "\n".join(f"- {line}" for line in describe_brought(found.brought))
    changes = "\n".join(f"- {line}" for line in describe_changes(found))
    return f"**Will be removed**\n\n{brought}\n\n**Published figures that will change**\n\n{changes}\n"


def as_data(found: Preview) -> dict[str, Any]:
    """Return the preview as data for the cockpit's model ``DryRun``, limited and masked like the text."""
    rows = Counter(change.view_name for change in found.changes)
    shown = Counter[str]()
    changes = []
    for change in found.changes:
        shown[change.view_name] += 1
        if shown[change.view_name] <= MOST_CHANGES:
            changes.append(
                {
                    "view_name": change.view_name,
                    "key": _masked(change.key),
                    "before": None if change.before is None else _masked(change.before),
                    "after": None if change.after is None else _masked(change.after),
                }
            )
    return {"brought": list(describe_brought(found.brought)), "changes": changes, "rows": dict(rows)}


def _masked(values: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the values as texts, to keep every digit, with personal columns masked."""
    return {
        name: MASK if name in PERSONAL_COLUMNS else None if value is None else str(value)
        for name, value in values.items()
    }


def _difference(change: Change) -> str:
    if change.before is None:
        return f"appears with {_figures(change.after or {})}"
    if change.after is None:
        return f"disappears, it was {_figures(change.before)}"
    names = [*change.before, *(name for name in change.after if name not in change.before)]
    return ", ".join(f"{name} {_value(change.before.get(name))} → {_value(change.after.get(name))}" for name in names)


def _figures(values: Mapping[str, Any]) -> str:
    """Return the values by name, with personal columns masked, since logs and pages have many readers."""
    shown = ((name, MASK if name in PERSONAL_COLUMNS else _value(value)) for name, value in values.items())
    return ", ".join(f"{name} {value}" for name, value in shown)


def _value(value: Any) -> str:
    return "unknown" if value is None else str(value)
