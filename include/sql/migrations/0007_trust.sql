-- What makes the numbers trusted and their faults seen: alerts that have a state and reach people, quality runs with a
-- verdict, views that are published only when their checks pass, and objectives with their misses.

-- Alerts --------------------------------------------------------------------------------------------------------------

ALTER TABLE shop.alerts
    ADD COLUMN key text,
    ADD COLUMN owner text NOT NULL DEFAULT 'shopstream',
    ADD COLUMN runbook_url text,
    ADD COLUMN occurrences bigint NOT NULL DEFAULT 1,
    ADD COLUMN last_raised_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ADD COLUMN resolved_at timestamptz,
    ADD COLUMN resolution text,
    ADD COLUMN acknowledged_at timestamptz,
    ADD COLUMN acknowledged_by text,
    ADD COLUMN note text,
    ADD CONSTRAINT alerts_acknowledged_by_someone CHECK ((acknowledged_at IS NULL) = (acknowledged_by IS NULL)),
    ADD CONSTRAINT alerts_resolved_for_a_reason CHECK ((resolved_at IS NULL) = (resolution IS NULL));

-- Alerts of before had no end.
UPDATE shop.alerts
SET key = source || ': ' || title, last_raised_at = raised_at, resolved_at = raised_at, resolution = 'recorded before alerts had a state';

ALTER TABLE shop.alerts ALTER COLUMN key SET NOT NULL;

COMMENT ON TABLE shop.alerts IS
    'What failed and was reported. An alert is open until its cause is over; the same one, raised again meanwhile, is the same row.';
COMMENT ON COLUMN shop.alerts.key IS 'What the alert is about, without values that change: at most one open alert has it.';
COMMENT ON COLUMN shop.alerts.owner IS 'Who is to act: the owner of the DAG or of the suite.';
COMMENT ON COLUMN shop.alerts.runbook_url IS 'What to do, as a page of the Airflow UI.';
COMMENT ON COLUMN shop.alerts.occurrences IS 'How often it was raised while it was open.';
COMMENT ON COLUMN shop.alerts.resolution IS 'How it ended: recovered, event (nothing lasts of it), expired, or a word of a person.';
COMMENT ON COLUMN shop.alerts.note IS 'What a person said of it.';

-- Holds two sessions that raise the same alert to one row.
CREATE UNIQUE INDEX alerts_open ON shop.alerts (key) WHERE resolved_at IS NULL;
-- Serves "has this been raised lately" and the history of one alert.
CREATE INDEX alerts_key ON shop.alerts (key, raised_at DESC);

CREATE FUNCTION shop.severity_rank(severity text) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN array_position(ARRAY['info', 'warning', 'critical'], severity);

COMMENT ON FUNCTION shop.severity_rank IS 'The order of severities: a higher rank is worse.';

CREATE TABLE shop.alert_channels (
    channel text PRIMARY KEY,
    min_severity text NOT NULL CHECK (min_severity IN ('info', 'warning', 'critical')),
    added_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    failures integer NOT NULL DEFAULT 0,
    retry_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_error text,
    last_sent_at timestamptz
);

COMMENT ON TABLE shop.alert_channels IS
    'The ways to people that Airflow''s Connections name: a copy of their ids, since most processes of Airflow cannot list them.';
COMMENT ON COLUMN shop.alert_channels.failures IS 'Attempts that failed since the last message that got through.';
COMMENT ON COLUMN shop.alert_channels.retry_at IS 'A channel that failed is left alone until then.';

CREATE TABLE shop.alert_deliveries (
    delivery_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    alert_id bigint NOT NULL REFERENCES shop.alerts ON DELETE CASCADE,
    channel text NOT NULL,
    occasion text NOT NULL CHECK (occasion IN ('raised', 'reminder', 'recovered')),
    severity text NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    planned_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    state text NOT NULL DEFAULT 'due' CHECK (state IN ('due', 'sent', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    sent_at timestamptz,
    last_error text,
    CHECK ((state = 'sent') = (sent_at IS NOT NULL))
);

COMMENT ON TABLE shop.alert_deliveries IS
    'Every message about an alert, by channel: due, sent, or failed for good after the last attempt.';
COMMENT ON COLUMN shop.alert_deliveries.channel IS 'The id of the Airflow connection that it goes through.';
COMMENT ON COLUMN shop.alert_deliveries.severity IS 'Of the alert when it was planned: one that got worse is told again.';
COMMENT ON COLUMN shop.alert_deliveries.due_at IS 'Not before then; a sender that takes it moves this on, so that nobody else does meanwhile.';

-- Serves the dispatcher: what is to be sent now through a channel.
CREATE INDEX alert_deliveries_due ON shop.alert_deliveries (channel, due_at) WHERE state = 'due';
-- Serves "who was told of this alert", and the deletion of an alert.
CREATE INDEX alert_deliveries_alert ON shop.alert_deliveries (alert_id);

CREATE TABLE shop.told_failures (
    source text NOT NULL,
    run_id text NOT NULL,
    told_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (source, run_id)
);

COMMENT ON TABLE shop.told_failures IS
    'Tasks that failed for what other alerts tell of, kept for a day: their failure is no further alert, nor a silent one.';

-- Quality -------------------------------------------------------------------------------------------------------------

CREATE TABLE shop.quality_runs (
    quality_run_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id text NOT NULL,
    suite text NOT NULL,
    table_name text NOT NULL,
    owner text NOT NULL DEFAULT 'shopstream',
    scope text NOT NULL CHECK (scope IN ('window', 'full', 'candidate')),
    window_from timestamptz,
    window_to timestamptz,
    started_at timestamptz NOT NULL,
    finished_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    verdict text NOT NULL CHECK (verdict IN ('passed', 'warned', 'failed', 'broken')),
    checks integer NOT NULL,
    critical_failures integer NOT NULL,
    warnings integer NOT NULL,
    not_judged integer NOT NULL DEFAULT 0,
    error text,
    docs_path text
);

COMMENT ON TABLE shop.quality_runs IS 'Every run of every suite, and its verdict.';
COMMENT ON COLUMN shop.quality_runs.scope IS
    'window: what was loaded since the last good run; full: all rows; candidate: a view that is not yet published.';
COMMENT ON COLUMN shop.quality_runs.verdict IS
    'passed; warned: a warning failed; failed: a critical check failed; broken: the suite could not be read or run.';
COMMENT ON COLUMN shop.quality_runs.not_judged IS 'Checks for which there is too little to compare with; they neither passed nor failed.';
COMMENT ON COLUMN shop.quality_runs.docs_path IS 'Its page below the Data Docs; NULL when none was made or it has expired.';

-- Serves the newest runs of a suite, and the last good one.
CREATE INDEX quality_runs_suite ON shop.quality_runs (suite, finished_at DESC);

ALTER TABLE shop.quality_results
    ADD COLUMN quality_run_id bigint REFERENCES shop.quality_runs ON DELETE CASCADE,
    ADD COLUMN is_judged boolean NOT NULL DEFAULT true,
    ALTER COLUMN duration_ms DROP NOT NULL;

COMMENT ON COLUMN shop.quality_results.is_judged IS
    'Whether there was enough to compare with; when not, is_success is true, and observed says what is missing.';
COMMENT ON COLUMN shop.quality_results.duration_ms IS
    'Milliseconds of the check itself; NULL when it shares its queries with others, and so has no time of its own.';

-- Serves the results of one run, and the deletion of a run.
CREATE INDEX quality_results_run ON shop.quality_results (quality_run_id);

-- Serves the window of the suite of files.
CREATE INDEX files_admitted_at ON shop.files USING brin (admitted_at);

-- Publication ---------------------------------------------------------------------------------------------------------

ALTER TABLE shop.refreshes
    ADD COLUMN published_at timestamptz,
    ADD COLUMN held_because text,
    ADD CONSTRAINT refreshes_published_or_held CHECK (published_at IS NULL OR held_because IS NULL);

-- Refreshes of before were published as they were made.
UPDATE shop.refreshes SET published_at = finished_at WHERE error IS NULL;

COMMENT ON TABLE shop.refreshes IS
    'Every refresh of a materialized view; last_batch_id is the newest batch that it contains. Analysts see a refresh once it is published.';
COMMENT ON COLUMN shop.refreshes.held_because IS 'The critical checks that kept it from being published; readers keep the one before.';
COMMENT ON COLUMN shop.refreshes.finished_at IS 'When its rows were worked out; they are as old as that, whenever they were published.';

-- Views are built here, checked, and then copied to where they are read.
CREATE SCHEMA shop_next;

COMMENT ON SCHEMA shop_next IS
    'The candidates of the materialized views: for each, its query (mart_x_query) and the rows that are to be published (mart_x).';

-- Objectives ----------------------------------------------------------------------------------------------------------

CREATE TABLE shop.objective_minutes (
    objective text NOT NULL,
    minute timestamptz NOT NULL,
    value double precision,
    bound double precision NOT NULL,
    is_met boolean NOT NULL,
    PRIMARY KEY (objective, minute)
);

COMMENT ON TABLE shop.objective_minutes IS 'Each service level objective, each minute: what was measured, and the bound that it was held against.';
COMMENT ON COLUMN shop.objective_minutes.value IS 'In the unit of the objective; NULL when there was nothing to measure, which meets it.';

CREATE TABLE shop.objective_months (
    objective text NOT NULL,
    month date NOT NULL,
    minutes bigint NOT NULL,
    met bigint NOT NULL,
    PRIMARY KEY (objective, month),
    CHECK (met <= minutes)
);

COMMENT ON TABLE shop.objective_months IS 'Minutes that were judged and met, by UTC month; kept when the minutes themselves are past retention.';

CREATE TABLE shop.objective_misses (
    miss_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    objective text NOT NULL,
    began_at timestamptz NOT NULL,
    ended_at timestamptz,
    bound double precision NOT NULL,
    worst_value double precision,
    cause text,
    acknowledged_at timestamptz,
    acknowledged_by text,
    note text,
    CHECK ((acknowledged_at IS NULL) = (acknowledged_by IS NULL))
);

COMMENT ON TABLE shop.objective_misses IS 'Every stretch of minutes in which an objective was not met: when, how long, how bad, and why if that is known.';

-- Holds an objective to one miss at a time, and serves "what is missed now".
CREATE UNIQUE INDEX objective_misses_open ON shop.objective_misses (objective) WHERE ended_at IS NULL;
-- Serves the history of misses.
CREATE INDEX objective_misses_began ON shop.objective_misses (began_at DESC);

-- Actions -------------------------------------------------------------------------------------------------------------

CREATE TABLE shop.actions (
    action_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    acted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    reason text
);

COMMENT ON TABLE shop.actions IS 'What people did through the cockpit or its API: who, what, on what, and why.';

-- Serves the newest actions.
CREATE INDEX actions_acted_at ON shop.actions (acted_at DESC);

-- Roles ---------------------------------------------------------------------------------------------------------------

GRANT SELECT, INSERT, UPDATE, DELETE ON shop.alerts, shop.alert_deliveries, shop.alert_channels, shop.told_failures TO shop_ops;
-- The stream raises alerts and ends them; who is told of them is no business of it.
GRANT SELECT, INSERT, UPDATE ON shop.alerts TO shop_ingest;
GRANT SELECT, INSERT, UPDATE, DELETE ON
    shop.quality_runs, shop.objective_minutes, shop.objective_months, shop.objective_misses TO shop_ops;
GRANT UPDATE ON shop.refreshes TO shop_ops;
GRANT USAGE ON SCHEMA shop_next TO shop_ops, shop_quality;
GRANT SELECT, INSERT ON shop.actions TO shop_ops;
GRANT SELECT ON
    shop.alert_deliveries, shop.alert_channels, shop.quality_runs, shop.objective_minutes, shop.objective_months,
    shop.objective_misses, shop.actions TO shop_quality;
GRANT SELECT ON shop.quality_runs, shop.objective_minutes, shop.objective_months, shop.objective_misses TO shop_analyst;
