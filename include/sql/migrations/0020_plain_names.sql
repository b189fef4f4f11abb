-- Names that users rely on follow docs/glossary.md: one word has one meaning, and the field's standard term where there is one.

-- The desired state of the stream ------------------------------------------------------------------------------------

ALTER TABLE shop.stream_control RENAME COLUMN wish TO desired_state;
ALTER TABLE shop.stream_control RENAME COLUMN wished_at TO requested_at;
ALTER TABLE shop.stream_control RENAME COLUMN wished_by TO requested_by;
ALTER TABLE shop.stream_control RENAME CONSTRAINT stream_control_wish_check TO stream_control_desired_state_check;

COMMENT ON TABLE shop.stream_control IS
    'The desired state of the stream: run; drain (load what waits, then end); or stop (end after the current batch).';

CREATE OR REPLACE FUNCTION shop.record_desired_state() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.desired_state = 'run' THEN
        UPDATE shop.planned_downtime SET ended_at = greatest(NEW.requested_at, began_at)
        WHERE kind = 'stream' AND ended_at IS NULL;
    ELSE
        INSERT INTO shop.planned_downtime (kind, began_at, reason, planned_by)
        VALUES ('stream', NEW.requested_at, format('the stream was asked to %s', NEW.desired_state), NEW.requested_by)
        ON CONFLICT (kind) WHERE ended_at IS NULL DO NOTHING;
    END IF;
    RETURN NULL;
END
$$;

-- Files and their slices ---------------------------------------------------------------------------------------------

ALTER TABLE shop.files RENAME COLUMN settled_at TO finished_at;
ALTER TABLE shop.files RENAME COLUMN parts TO slices;

COMMENT ON COLUMN shop.files.finished_at IS 'When the file was loaded, quarantined or retracted; NULL while it waits.';
COMMENT ON COLUMN shop.files.slices IS 'Batches that have loaded a slice of the file: more than one for a large file.';
COMMENT ON COLUMN shop.files.next_byte IS 'Where the next slice begins, in bytes of the unpacked file; 0 before the first.';
COMMENT ON COLUMN shop.files.next_line IS 'The line on which the next slice begins.';
COMMENT ON COLUMN shop.files.attempts IS 'How often a batch with the file was planned since its last slice was loaded.';

ALTER TABLE shop.file_parts RENAME TO file_slices;
ALTER INDEX shop.file_parts_batch RENAME TO file_slices_batch;
ALTER TABLE shop.file_slices RENAME CONSTRAINT file_parts_pkey TO file_slices_pkey;
ALTER TABLE shop.file_slices RENAME CONSTRAINT file_parts_check TO file_slices_check;
ALTER TABLE shop.file_slices RENAME CONSTRAINT file_parts_batch_id_fkey TO file_slices_batch_id_fkey;
ALTER TABLE shop.file_slices RENAME CONSTRAINT file_parts_file_id_fkey TO file_slices_file_id_fkey;

COMMENT ON TABLE shop.file_slices IS 'The balance of each slice of the files that were loaded in more than one batch.';
COMMENT ON COLUMN shop.retired_ledger.files IS 'As batches.files counts: a file counts once for each of its slices.';

-- Visitors, and who of them bought -----------------------------------------------------------------------------------

ALTER TABLE shop.fact_days RENAME COLUMN customers TO visitors;

ALTER TABLE shop.fact_visits RENAME TO fact_day_sessions;
ALTER TABLE shop.fact_day_sessions RENAME CONSTRAINT fact_visits_pkey TO fact_day_sessions_pkey;
COMMENT ON TABLE shop.fact_day_sessions IS 'The sessions that fact_days has counted.';

ALTER TABLE shop.fact_shoppers RENAME TO fact_day_visitors;
ALTER TABLE shop.fact_day_visitors RENAME CONSTRAINT fact_shoppers_pkey TO fact_day_visitors_pkey;
ALTER INDEX shop.fact_shoppers_user RENAME TO fact_day_visitors_user;
COMMENT ON TABLE shop.fact_day_visitors IS 'The visitors that fact_days has counted, with what they bought on the day.';

ALTER TABLE shop.fact_users RENAME TO fact_visitor_segments;
ALTER TABLE shop.fact_visitor_segments RENAME CONSTRAINT fact_users_pkey TO fact_visitor_segments_pkey;
COMMENT ON TABLE shop.fact_visitor_segments IS 'The segment in the newest event of each visitor.';

-- Failures that another alert explains -------------------------------------------------------------------------------

ALTER TABLE shop.told_failures RENAME TO explained_failures;
ALTER TABLE shop.explained_failures RENAME COLUMN told_at TO recorded_at;
ALTER TABLE shop.explained_failures RENAME CONSTRAINT told_failures_pkey TO explained_failures_pkey;
COMMENT ON TABLE shop.explained_failures IS
    'Tasks that failed because of something another alert reports, kept for a day: they raise no alert of their own.';
