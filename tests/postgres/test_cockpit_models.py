"""Tests that each field of an answer comes from its query: a default must not hide a column that is not selected."""

from __future__ import annotations

import psycopg2
import pytest

from include.airflow.cockpit import models
from include.db import connect, load_queries
from include.settings import Settings
from tests.postgres.test_cockpit_queries import PARAMETERS

# The model, the module and name of its statement, and the fields that the route computes.
PAIRS = [
    (models.Batch, "cockpit_stream", "batches", set()),
    (models.File, "cockpit_stream", "files", {"retracted"}),
    (models.Retracted, "cockpit_stream", "retracted", set()),
    (models.Retraction, "cockpit_retractions", "retractions", set()),
    (models.Retraction, "cockpit_retractions", "retraction", set()),
    (models.Run, "cockpit_stream", "runs", {"driver_id"}),
    (models.BacklogMinute, "cockpit_stream", "backlog", set()),
    (models.FileReject, "cockpit_stream", "file_rejects", {"meaning"}),
    (models.RejectReason, "cockpit_stream", "reject_reasons", {"meaning"}),
    (models.RejectSample, "cockpit_stream", "reject_samples", set()),
    (models.View, "cockpit_quality", "views", {"is_held"}),
    (models.QualityRun, "cockpit_quality", "quality_run", {"url"}),
    (models.QualityRun, "cockpit_quality", "suite_runs", {"url"}),
    (models.CheckResult, "cockpit_quality", "results", set()),
    (models.Alert, "cockpit_objectives", "alert", set()),
    (models.ListedAlert, "cockpit_objectives", "alerts", {"messages"}),
    (models.Messages, "cockpit_objectives", "listed_messages", set()),
    (models.Delivery, "cockpit_objectives", "deliveries", set()),
    (models.Miss, "cockpit_objectives", "misses", {"unit"}),
    (models.Action, "cockpit_objectives", "actions", set()),
    (models.ProductSales, "cockpit_overview", "top_products", set()),
    (models.Conversion, "cockpit_overview", "conversion", {"trust", "restated"}),
    (models.DayFigures, "cockpit_overview", "daily", {"restated"}),
    (models.Restated, "cockpit_overview", "daily", set()),
    (models.Restated, "cockpit_overview", "conversion_restated", {"old", "new"}),
    (models.Restatement, "cockpit_figures", "restatements", set()),
]


@pytest.mark.parametrize(("model", "module", "name", "made"), PAIRS)
def test_the_fields_of_a_model_are_columns_of_its_query(
    database: Settings, model: type[models.Model], module: str, name: str, made: set[str]
) -> None:
    connection = connect(database.dsn("quality"), autocommit=True)
    try:
        with connection.cursor() as cursor:
            cursor.execute(load_queries(module)[name], PARAMETERS)
            columns = {column.name for column in cursor.description or ()}
    except psycopg2.Error as error:
        raise AssertionError(f"{module}.{name}: {error}") from error
    finally:
        connection.close()
    assert set(model.model_fields) - made <= columns
