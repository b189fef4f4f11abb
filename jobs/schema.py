"""The Spark schemas, rendered from the event contract."""

from __future__ import annotations

from pyspark.sql.types import BooleanType, LongType, StringType, StructField, StructType, TimestampType

from include.contract import COLUMNS
from include.stream.csv_reader import READER_SCHEMA

_READER_TYPES = {
    "int64": LongType(),
    "bool": BooleanType(),
    "string": StringType(),
    "timestamp[us, tz=UTC]": TimestampType(),
}

# What the landing source yields: the fields as text, each row with its file and line.
SOURCE_SCHEMA = StructType([StructField(column.name, _READER_TYPES[str(column.type)]) for column in READER_SCHEMA])

# Columns whose accepted type is not text, with that type.
TYPED_COLUMNS = {column.name: column.spark_type for column in COLUMNS if column.spark_type != "string"}
