"""Spark jobs. A job is main(argv) → settings → build_query(spark, settings) → await, independent of any scheduler."""
