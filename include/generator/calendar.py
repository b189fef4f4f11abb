"""Assign events to files of an exact size, including events of visits that began in an earlier window."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from include.generator.traffic import EVENT, JOURNEY_EVENTS, Events, Traffic, pick

# The share of rows that belong to journeys. Glances make up the rest, whose number varies from window to window.
JOURNEY_SHARE = 0.88


class Calendar:
    """The events of a run, taken window by window.

    Parameters
    ----------
    traffic:
        Draws the visits.
    start_ms:
        The start of the first window, Unix milliseconds.
    window_ms:
        The length of every window but the last, milliseconds.
    """

    def __init__(self, traffic: Traffic, start_ms: int, window_ms: float) -> None:
        self._traffic = traffic
        self._start_ms = start_ms
        self._window_ms = window_ms
        self._later: defaultdict[int, list[Events]] = defaultdict(list)
        self._overdue = np.empty(0, EVENT)
        self._rows_owed_to_journeys = 0.0

    def take(self, window: int, count: int, span_ms: float) -> Events:
        """Return exactly ``count`` events of a window, in order of time.

        Journeys begin at a steady rate. Their later steps are kept for the windows in which they fall. When a window
        has more than ``count`` steps, the latest of them are moved to the next window.

        Parameters
        ----------
        window:
            The number of the window. Windows must be taken in order.
        count:
            The number of events.
        span_ms:
            The length of the window, milliseconds; only the last window of a run may be shorter than the others.
        """
        first_ms = self._start_ms + window * self._window_ms
        self._rows_owed_to_journeys += count * JOURNEY_SHARE
        journeys = self._traffic.journeys(max(0, int(self._rows_owed_to_journeys / JOURNEY_EVENTS)), first_ms, span_ms)
        self._rows_owed_to_journeys -= len(journeys)

        due_in = ((journeys["time_ms"] - self._start_ms) / self._window_ms).astype(np.int64)
        later = np.flatnonzero(due_in > window)
        self._keep(pick(journeys, later), due_in[later])
        now = pick(journeys, np.flatnonzero(due_in <= window))
        due = np.concatenate([self._overdue, now, *self._later.pop(window, [])])
        if span_ms < self._window_ms:
            # Drop events after the end of the run.
            due = pick(due, np.flatnonzero(due["time_ms"] < first_ms + span_ms))
        if len(due) < count:
            due = np.concatenate([due, self._traffic.glances(count - len(due), first_ms, span_ms)])
        due = pick(due, np.argsort(due["time_ms"], kind="stable"))
        self._overdue = due[count:]
        return due[:count]

    def _keep(self, events: Events, windows: np.ndarray) -> None:
        order = np.argsort(windows, kind="stable")
        names, begins = np.unique(windows[order], return_index=True)
        for name, part in zip(names.tolist(), np.split(pick(events, order), begins[1:]), strict=False):
            self._later[name].append(part)
