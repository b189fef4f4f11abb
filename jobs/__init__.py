"""Spark jobs. A job is main(argv) → settings → build_query(spark, settings) → await; it knows no scheduler."""
