-- name: export_snapshot
-- Other transactions may adopt it while this one is open.
SELECT pg_export_snapshot();

-- name: store
-- The results of one run of a suite.
INSERT INTO shop.quality_results (
    run_id, suite, table_name, check_name, column_name, severity, is_success, observed, expected, sample, error,
    duration_ms
)
VALUES %s;
