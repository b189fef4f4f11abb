"""Define the event contract: the fields of an event and the rules that it must meet.

``columns`` defines the fields, ``rules`` the rules for a row, and ``files`` the faults of a file as a whole. This
package is the single source of the contract. The Arrow schemas, the reject reasons, the generator's bad rows and the
data dictionary are derived from it. ``tests/postgres/test_contract.py`` compares the DDL with it, and
``tests/unit/test_suites.py`` the expectation suites.
"""

from include.contract.columns import (
    CATEGORIES,
    COLUMN_NAMES,
    COLUMNS,
    CURRENCIES,
    EVENT_TYPES,
    Column,
)
from include.contract.files import FILE_FAULTS, FileFault
from include.contract.rules import PAST_RETENTION, REJECT_RULES, RULES, WARN_RULES, Rule, Severity

__all__ = [
    "CATEGORIES",
    "COLUMNS",
    "COLUMN_NAMES",
    "CURRENCIES",
    "EVENT_TYPES",
    "FILE_FAULTS",
    "PAST_RETENTION",
    "REJECT_RULES",
    "RULES",
    "WARN_RULES",
    "Column",
    "FileFault",
    "Rule",
    "Severity",
]
