"""The errors that Shopstream raises on purpose, all of one family.

Every message has three parts, because an operator has to act on it: *what* happened, the *value* that caused it, and
the *remedy*. Errors of libraries are kept as the cause (``raise ... from error``), never swallowed.
"""

from __future__ import annotations


class ShopstreamError(Exception):
    """An error that an operator can fix.

    Parameters
    ----------
    what:
        What happened, including the offending value.
    remedy:
        What to do about it, as an instruction.
    """

    def __init__(self, what: str, remedy: str = "") -> None:
        self.what = what.rstrip(".")
        self.remedy = remedy.rstrip(".")
        super().__init__(f"{self.what}. {self.remedy}." if remedy else f"{self.what}.")


class SettingsError(ShopstreamError):
    """One or more settings are wrong; the message lists all faults."""


class MigrationError(ShopstreamError):
    """The database schema and the migrations in this checkout disagree."""


class FencedError(ShopstreamError):
    """Another driver has taken over: this one holds an old writer epoch and must not write again."""


class StalledError(ShopstreamError):
    """The driver process lives, but its micro-batch loop does not turn."""


class BalanceError(ShopstreamError):
    """The rows of a file do not add up: read differs from accepted + duplicate + rejected."""


class SuiteError(ShopstreamError):
    """An expectation suite cannot be used as written; the message has the file, the line and the remedy."""


class PlatformError(ShopstreamError):
    """The local platform cannot be started, stopped or inspected."""


class ReconcileError(ShopstreamError):
    """Manifests and Postgres disagree."""


class ExportError(ShopstreamError):
    """A table cannot be exported."""


class ChannelError(ShopstreamError):
    """A notification could not be delivered, or its connection cannot be used as configured."""
