"""Runs in Pathway's own environment: ``pathway_stream.py FOLDER CONNECTION-AS-JSON COLUMN…``."""

import json
import sys

import pathway as pw

folder, connection, *columns = sys.argv[1:]
events = pw.io.csv.read(folder, schema=pw.schema_from_types(**dict.fromkeys(columns, str)), mode="streaming")
pw.io.postgres.write(events, json.loads(connection), "pathway", schema_name="shop")
pw.run(monitoring_level=pw.MonitoringLevel.NONE)
