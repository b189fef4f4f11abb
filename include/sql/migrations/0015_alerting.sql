-- Planned downtime, which alerts nobody and breaks no promise; and alerts that only follow from another one.

CREATE TABLE shop.planned_downtime (
    planned_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('stream', 'platform')),
    began_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz,
    caught_up_at timestamptz,
    reason text NOT NULL,
    planned_by text NOT NULL DEFAULT session_user,
    CHECK (ended_at >= began_at),
    CHECK (caught_up_at >= ended_at)
);

COMMENT ON TABLE shop.planned_downtime IS
    'Times in which the stream or the whole platform is down on purpose: nothing is promised and nobody is alerted.';
COMMENT ON COLUMN shop.planned_downtime.kind IS
    'stream: paused, drained or stopped; platform: `make down`, or a window announced with `make maintenance`.';
COMMENT ON COLUMN shop.planned_downtime.ended_at IS 'NULL while its end is not known; an announced window may end in the future.';
COMMENT ON COLUMN shop.planned_downtime.caught_up_at IS 'When the files that had waited until the end were loaded.';

-- Serves "what is planned now" and "which minutes are not to be judged".
CREATE INDEX planned_downtime_began_at ON shop.planned_downtime (began_at DESC);
-- The stream is paused once, and the platform is down once; announced windows have an end from the beginning.
CREATE UNIQUE INDEX planned_downtime_open ON shop.planned_downtime (kind) WHERE ended_at IS NULL;

CREATE VIEW shop.planned_times AS
SELECT
    planned_id,
    kind,
    began_at,
    ended_at,
    -- Driver, Airflow and the first refreshes need three minutes to start.
    coalesce(ended_at + interval '3 minutes', 'infinity') AS ready_at,
    -- A backlog of hours is not caught up at once; after half an hour that is a fault like any other.
    greatest(
        ended_at + interval '3 minutes', least(caught_up_at, ended_at + interval '30 minutes'),
        CASE WHEN ended_at IS NULL THEN 'infinity'::timestamptz END
    ) AS quiet_until,
    reason,
    planned_by
FROM shop.planned_downtime;

COMMENT ON VIEW shop.planned_times IS
    'Planned downtime with its grace periods: until ready_at nothing has to work; until quiet_until the stream may be behind.';

-- Whoever changes the desired state, in whichever way, plans a downtime or ends one.
CREATE FUNCTION shop.record_desired_state() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.wish = 'run' THEN
        UPDATE shop.planned_downtime SET ended_at = greatest(NEW.wished_at, began_at)
        WHERE kind = 'stream' AND ended_at IS NULL;
    ELSE
        INSERT INTO shop.planned_downtime (kind, began_at, reason, planned_by)
        VALUES ('stream', NEW.wished_at, format('the stream was asked to %s', NEW.wish), NEW.wished_by)
        ON CONFLICT (kind) WHERE ended_at IS NULL DO NOTHING;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER stream_control_changed AFTER INSERT OR UPDATE ON shop.stream_control
FOR EACH ROW EXECUTE FUNCTION shop.record_desired_state();

-- A platform that was stopped by an older version comes up with this one.
INSERT INTO shop.planned_downtime (kind, began_at, reason, planned_by)
SELECT 'stream', wished_at, format('the stream was asked to %s', wish), wished_by FROM shop.stream_control WHERE wish <> 'run';

ALTER TABLE shop.alerts ADD COLUMN caused_by text;
COMMENT ON COLUMN shop.alerts.caused_by IS
    'The key of the alert, or the planned downtime, from which this one follows: it is on record and is not sent.';

-- Failures of mapped tasks are now kept by the name of their instance, not by an index that moves.
UPDATE shop.alerts SET resolved_at = clock_timestamp(), resolution = 'recorded under the name of the task instance from now on'
WHERE resolved_at IS NULL AND key ~ '^failed: .*\[\d+\]$';

GRANT SELECT, INSERT, UPDATE, DELETE ON shop.planned_downtime TO shop_ops;
GRANT SELECT ON shop.planned_downtime TO shop_quality, shop_ingest, shop_analyst;
GRANT SELECT ON shop.planned_times TO shop_ops, shop_quality, shop_ingest, shop_analyst;
