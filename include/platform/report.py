"""What the lifecycle commands show: a line for each step when it is done, and what is under way meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape

# Wide enough for the tables; rich takes 80 when there is no terminal to ask.
_PIPE_WIDTH = 160


class Report:
    """Lines of steps with the time since the command began; steps may run at the same time in several threads."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or make_console()
        self._began = time.monotonic()
        self._under_way: list[str] = []
        self._lock = threading.Lock()
        self._status = self.console.status("")

    @property
    def seconds(self) -> float:
        """Time since the command began."""
        return time.monotonic() - self._began

    @contextmanager
    def live(self) -> Iterator[None]:
        """Show what is under way in the last line, if there is a terminal."""
        if not self.console.is_terminal:
            yield
            return
        with self._status:
            yield

    @contextmanager
    def step(self, what: str) -> Iterator[Step]:
        """Time a step and write its line when it is done; a step that fails writes none, its error is shown instead."""
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
        """Write a line with the time."""
        with self._lock:
            self.console.print(f"[green]✓[/green] [dim]{self.seconds:5.1f}[/dim]  {markup}")

    def note(self, text: str) -> None:
        """Write a line on something that is as it should be, but that one should know."""
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
    """A console that leaves the breaking of lines to the terminal, so that a log or a pipe gets them whole."""
    console = Console(highlight=False, soft_wrap=True, stderr=stderr)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    return console


class Step:
    """A step under way; ``text`` may be made more precise before it ends."""

    def __init__(self, text: str) -> None:
        self.text = text
