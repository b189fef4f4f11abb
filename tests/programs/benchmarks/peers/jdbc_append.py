"""``jdbc_append.py JAR WARM-UP.csv FILE.csv OPTIONS-AS-JSON COLUMN…``: prints the seconds of the append of the file."""

import json
import sys
import time

from pyspark.sql import DataFrame, SparkSession

jar, warm_up, file, options, *columns = sys.argv[1:]
spark = (
    SparkSession.builder.master("local[2]")
    .config("spark.jars", jar)
    .config("spark.driver.extraClassPath", jar)
    .config("spark.ui.enabled", "false")
    # Small enough that both cores have work to the end.
    .config("spark.sql.files.maxPartitionBytes", "8m")
    .getOrCreate()
)
# The columns that are not text in the table; the server casts the others, which come as unknown literals.
types = {"unit_price": "DECIMAL(12,2)", "quantity": "INT"}
schema = ", ".join(f"{name} {types.get(name, 'STRING')}" for name in columns)


def append(path: str) -> None:
    events: DataFrame = spark.read.csv(path, schema=schema, header=True, escape='"')
    events.write.format("jdbc").options(**json.loads(options)).mode("append").save()


append(warm_up)
began = time.monotonic()
append(file)
print(time.monotonic() - began)
spark.stop()
