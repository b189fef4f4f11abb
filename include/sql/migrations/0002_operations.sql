-- What the operators of the platform leave behind: refreshes, quality results, alerts, and the wish for the stream.

CREATE TABLE shop.stream_control (
    query text PRIMARY KEY,
    wish text NOT NULL CHECK (wish IN ('run', 'drain', 'stop')),
    wished_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    wished_by text NOT NULL DEFAULT session_user
);

COMMENT ON TABLE shop.stream_control IS
    'What the stream should do: run; drain, that is load what waits and then end; or stop, that is end after the batch under way.';

CREATE TABLE shop.refreshes (
    refresh_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    view_name text NOT NULL,
    started_at timestamptz NOT NULL,
    finished_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    row_count bigint,
    last_batch_id bigint,
    error text
);

COMMENT ON TABLE shop.refreshes IS 'Every refresh of a materialized view; last_batch_id is the newest batch that it contains.';

-- Serves "the last refresh of each view".
CREATE INDEX refreshes_view ON shop.refreshes (view_name, finished_at DESC);

CREATE TABLE shop.quality_results (
    result_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id text NOT NULL,
    suite text NOT NULL,
    table_name text NOT NULL,
    check_name text NOT NULL,
    column_name text,
    severity text NOT NULL CHECK (severity IN ('critical', 'warning', 'info')),
    is_success boolean NOT NULL,
    observed text,
    expected text,
    sample jsonb,
    error text,
    duration_ms double precision NOT NULL,
    checked_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

COMMENT ON TABLE shop.quality_results IS 'Every result of every expectation, newest last.';

-- Serves the newest results of each suite.
CREATE INDEX quality_results_suite ON shop.quality_results (suite, checked_at DESC);

CREATE TABLE shop.alerts (
    alert_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    raised_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    severity text NOT NULL CHECK (severity IN ('critical', 'warning', 'info')),
    source text NOT NULL,
    title text NOT NULL,
    detail text NOT NULL,
    run_id text,
    url text
);

COMMENT ON TABLE shop.alerts IS 'What failed and was reported by the notifier of the DAGs.';

-- Serves "alerts of the last day".
CREATE INDEX alerts_raised_at ON shop.alerts (raised_at DESC);

GRANT SELECT ON shop.stream_control TO shop_ingest;
GRANT SELECT ON ALL TABLES IN SCHEMA shop TO shop_ops, shop_quality;
GRANT INSERT, UPDATE ON shop.stream_control TO shop_ops;
GRANT INSERT ON shop.refreshes, shop.quality_results, shop.alerts TO shop_ops;
GRANT SELECT ON shop.stream_control, shop.refreshes, shop.quality_results, shop.alerts TO shop_analyst;
