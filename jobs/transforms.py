"""Pure functions of DataFrames: text fields in, flagged and typed rows out."""

from __future__ import annotations

from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

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
    broken = (
        F.when(F.col("is_footer"), F.lit(0).cast("bigint"))
        .when(F.col(ROW_ERROR).isNotNull(), _bits(from_reader))
        .otherwise(_bits(from_fields))
    )
    return rows.withColumn(BROKEN_RULES, broken)


def typed(flagged: DataFrame) -> DataFrame:
    """Cast the fields of the contract to their types; what does not parse becomes null, which its flag explains.

    Ends in the columns that the sink expects.
    """
    return flagged.select(
        "file_id",
        "line",
        "is_footer",
        ROW_ERROR,
        "detail",
        "extra",
        *(
            F.expr(f"try_cast({name} as {TYPED_COLUMNS[name]})").alias(name) if name in TYPED_COLUMNS else F.col(name)
            for name in COLUMN_NAMES
        ),
        BROKEN_RULES,
    )


def _bits(rules: list[tuple[int, Rule]]) -> Column:
    bits = [
        F.when(F.coalesce(F.expr(rule.predicate), F.lit(False)), F.lit(0)).otherwise(F.lit(1 << bit)).cast("bigint")
        for bit, rule in rules
    ]
    return reduce(Column.bitwiseOR, bits)
