-- Retraction: a delivery is taken back, and everything that it brought goes with it.

ALTER TABLE shop.files
    DROP CONSTRAINT files_state_check,
    DROP CONSTRAINT files_check1,
    ADD CONSTRAINT files_state_check CHECK (state IN ('admitted', 'loaded', 'quarantined', 'retracted')),
    ADD CONSTRAINT files_fault_check CHECK (
        CASE state WHEN 'quarantined' THEN fault IS NOT NULL WHEN 'retracted' THEN true ELSE fault IS NULL END
    );

COMMENT ON COLUMN shop.files.state IS
    'admitted: waits to be loaded; loaded; quarantined: for its fault; retracted: taken back, its balance is in shop.retraction_files.';

CREATE TABLE shop.duplicates (
    event_id uuid NOT NULL,
    batch_id bigint NOT NULL,
    file_id bigint NOT NULL,
    line bigint NOT NULL,
    content jsonb,
    found_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

COMMENT ON TABLE shop.duplicates IS
    'Rows that were counted as duplicates of a stored event. When the delivery of that event is retracted, the first of them takes its place.';
COMMENT ON COLUMN shop.duplicates.content IS
    'The row by column, when it differs from the stored event; NULL when it is the same.';

-- Serves the removal of old rows. A retraction joins the whole table with the events that it removes, so that storing a
-- duplicate stays cheap.
CREATE INDEX duplicates_found_at ON shop.duplicates USING brin (found_at);

CREATE TABLE shop.retractions (
    retraction_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    done_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    done_by text NOT NULL,
    reason text NOT NULL,
    selection jsonb NOT NULL,
    files integer NOT NULL,
    events bigint NOT NULL,
    reassigned bigint NOT NULL,
    rejects bigint NOT NULL,
    duplicates bigint NOT NULL
);

COMMENT ON TABLE shop.retractions IS 'Deliveries that were taken back: when, by whom, why, and how much went with them.';
COMMENT ON COLUMN shop.retractions.selection IS 'How the deliveries were chosen: by file, name, batch or time of loading.';
COMMENT ON COLUMN shop.retractions.events IS 'Events that the deliveries had brought.';
COMMENT ON COLUMN shop.retractions.reassigned IS
    'How many of these events another delivery had brought too: they are stored again, as events of that delivery.';

CREATE TABLE shop.retraction_files (
    retraction_id bigint NOT NULL REFERENCES shop.retractions,
    file_id bigint NOT NULL,
    name text NOT NULL,
    loaded_at timestamptz NOT NULL,
    read bigint NOT NULL,
    accepted bigint NOT NULL,
    duplicate bigint NOT NULL,
    rejected bigint NOT NULL,
    PRIMARY KEY (retraction_id, file_id)
);

COMMENT ON TABLE shop.retraction_files IS 'The files of each retraction, with the balance that they had.';

-- Retractions run as the owner: no other role may delete events.
GRANT SELECT, INSERT ON shop.duplicates TO shop_ingest;
GRANT SELECT ON shop.duplicates, shop.retractions, shop.retraction_files TO shop_ops, shop_quality;
GRANT SELECT ON shop.retractions, shop.retraction_files TO shop_analyst;
