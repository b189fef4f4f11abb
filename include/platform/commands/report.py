"""Show the progress of lifecycle commands: a line for each finished step, and the steps that are under way."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape

# Wide enough for the tables. Without a terminal, rich would use 80.
_PIPE_WIDTH = 160


class Report:
    """Print steps with the time since the command began; steps may run concurrently in several threads."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or make_console()
        self._began = time.monotonic()
        self._under_way: list[str] = []
        self._lock = threading.Lock()
        self._status = self.console.status("")

    @property
    def seconds(self) -> float:
        """Seconds since the command began."""
        return time.monotonic() - self._began

    @contextmanager
    def live(self) -> Iterator[None]:
        """Show the running steps in the last line, if there is a terminal."""
        if not self.console.is_terminal:
            yield
            return
        with self._status:
            yield

    @contextmanager
    def step(self, what: str) -> Iterator[Step]:
        """Time a step and write its line when it is done; a failed step writes no line, only its error is shown."""
        step = Step(what)
        self._change(add=what)
        began = time.monotonic()
        try:
            yield step
        finally:
            self._change(remove=what)
        took = time.monotonic() - began
        self.line(f"{escape(step.text)} [dim]{took:.1f} s[/dim]")

    def line(self, markup: str) -> None:
        """Write a line that shows the elapsed time."""
        with self._lock:
            self.console.print(f"[green]✓[/green] [dim]{self.seconds:5.1f}[/dim]  {markup}")

    def note(self, text: str) -> None:
        """Write a line about something that is not an error, but that the user should know."""
        with self._lock:
            self.console.print(f"[yellow]![/yellow]        {escape(text)}")

    def _change(self, *, add: str | None = None, remove: str | None = None) -> None:
        with self._lock:
            if add:
                self._under_way.append(add)
            if remove:
                self._under_way.remove(remove)
            self._status.update(escape(" · ".join(self._under_way)))


def make_console(*, stderr: bool = False) -> Console:
    """Return a console that does not wrap lines itself; logs and pipes get whole lines."""
    console = Console(highlight=False, soft_wrap=True, stderr=stderr)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    return console


class Step:
    """A running step; ``text`` may be made more precise before the step ends."""

    def __init__(self, text: str) -> None:
        self.text = text
