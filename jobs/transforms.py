"""Pure functions of DataFrames: text fields in, flagged and typed rows out."""

from __future__ import annotations

from pyspark.sql import DataFrame

from include.contract import COLUMN_NAMES, RULES, Rule
from include.contract.rules import ROW_ERROR
from include.stream.batch import BROKEN_RULES
from jobs.schema import TYPED_COLUMNS


def flag(rows: DataFrame) -> DataFrame:
    """Add BROKEN_RULES, a bigint whose bit i is set when rule i of the contract does not hold.

    Flagging drops nothing, and the flags are never null: a predicate that is NULL counts as broken. A row that could
    not be parsed has no fields to judge, so only its parse error is flagged. Footers are not rows and break nothing.
    """
    from_reader = [(bit, rule) for bit, rule in enumerate(RULES) if ROW_ERROR in rule.predicate]
    from_fields = [(bit, rule) for bit, rule in enumerate(RULES) if ROW_ERROR not in rule.predicate]
    # One text: as calls of Column functions it takes seconds at the start of a driver, a round trip to the JVM each.
    return rows.selectExpr(
        "*",
        f"CASE WHEN is_footer THEN 0L WHEN {ROW_ERROR} IS NOT NULL THEN {_bits(from_reader)} "
        f"ELSE {_bits(from_fields)} END AS {BROKEN_RULES}",
    )


def typed(flagged: DataFrame) -> DataFrame:
    """Cast the fields of the contract to their types; what does not parse becomes null, which its flag explains.

    Ends in the columns that the sink expects.
    """
    return flagged.selectExpr(
        "file_id",
        "line",
        "is_footer",
        ROW_ERROR,
        "detail",
        "extra",
        *(
            f"try_cast({name} AS {TYPED_COLUMNS[name]}) AS {name}" if name in TYPED_COLUMNS else name
            for name in COLUMN_NAMES
        ),
        BROKEN_RULES,
    )


def _bits(rules: list[tuple[int, Rule]]) -> str:
    return " | ".join(f"if(coalesce({rule.predicate}, false), 0L, {1 << bit}L)" for bit, rule in rules)
