"""The event contract: what an event is, and what makes one acceptable. Its only home.

``columns`` says what the fields are, ``rules`` what must hold for them, ``files`` what a file must look like before
its rows are looked at. The Arrow schemas, the reject reasons, the generator's bad rows and the data dictionary are
derived from these; the DDL and the expectation suites are compared with them by ``tests/postgres/test_contract.py``
and ``tests/unit/test_suites.py``.
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
from include.contract.rules import REJECT_RULES, RULES, WARN_RULES, Rule, Severity

__all__ = [
    "CATEGORIES",
    "COLUMNS",
    "COLUMN_NAMES",
    "CURRENCIES",
    "EVENT_TYPES",
    "FILE_FAULTS",
    "REJECT_RULES",
    "RULES",
    "WARN_RULES",
    "Column",
    "FileFault",
    "Rule",
    "Severity",
]
