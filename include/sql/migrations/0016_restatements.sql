-- The figures of a closed day may change: events come late, a delivery is taken back, facts are repaired. Each such change is
-- a row here, so that a report of last week can be explained, and made again as it was.
CREATE TABLE shop.closed_days (
    view_name text NOT NULL,
    day date NOT NULL,
    closed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (view_name, day)
);

COMMENT ON TABLE shop.closed_days IS
    'When a view was first published with all of a day (UTC): built after the day had ended. From then on a change of its figures is a restatement.';

CREATE TABLE shop.restatements (
    restatement_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    restated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    refresh_id bigint NOT NULL,
    view_name text NOT NULL,
    key jsonb NOT NULL,
    day date NOT NULL,
    old jsonb,
    new jsonb,
    cause text NOT NULL,
    detail jsonb NOT NULL DEFAULT '{}',
    CHECK (old IS NOT NULL OR new IS NOT NULL)
);

CREATE INDEX restatements_day ON shop.restatements (view_name, day, restatement_id);

COMMENT ON TABLE shop.restatements IS
    'Every change of a published figure of a closed day (UTC), written in the transaction that publishes it; kept for ever.';
COMMENT ON COLUMN shop.restatements.refresh_id IS 'The refresh that published the new figures; shop.refreshes may have forgotten it.';
COMMENT ON COLUMN shop.restatements.key IS 'The row: the columns of the view''s unique index.';
COMMENT ON COLUMN shop.restatements.old IS 'The figures that differ, as they were; NULL when the row is new.';
COMMENT ON COLUMN shop.restatements.new IS 'The figures that differ, as they are now; NULL when the row is gone.';
COMMENT ON COLUMN shop.restatements.cause IS 'Why: late events, correction or retraction.';

CREATE FUNCTION shop.grain_of(relation regclass) RETURNS text[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT array_agg(attribute.attname::text ORDER BY place.number)
    FROM pg_index AS index
    CROSS JOIN LATERAL unnest(index.indkey::int2[]) WITH ORDINALITY AS place (attnum, number)
    JOIN pg_attribute AS attribute ON attribute.attrelid = index.indrelid AND attribute.attnum = place.attnum
    WHERE index.indexrelid = (
        SELECT indexrelid FROM pg_index WHERE indrelid = relation AND indisunique ORDER BY indexrelid LIMIT 1
    )
$$;

COMMENT ON FUNCTION shop.grain_of IS 'The columns that identify a row of a materialized view: those of its unique index.';

-- The type says which view, and what the rows look like, so one function serves all views and depends on none of them.
-- With UTC, as an hour is written into shop.restatements.key.
CREATE FUNCTION shop.as_of(figures anyelement, moment timestamptz) RETURNS SETOF anyelement
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
    relation constant regclass := (SELECT typrelid FROM pg_type WHERE oid = pg_typeof(figures));
    view_name constant text := (SELECT relname FROM pg_class WHERE oid = relation);
    grain constant text[] := shop.grain_of(relation);
    pairs constant text := (SELECT string_agg(format('%L, stored.%I', name, name), ', ') FROM unnest(grain) AS name);
    day constant text := CASE
        WHEN 'day' = ANY(grain) THEN 'stored.day'
        WHEN 'hour' = ANY(grain) THEN '(stored.hour AT TIME ZONE ''UTC'')::date'
    END;
BEGIN
    IF day IS NULL THEN
        RAISE EXCEPTION '% has no figures by day or hour, so it cannot be shown as of an earlier time', pg_typeof(figures)
            USING HINT = 'Call it as: SELECT * FROM shop.as_of(NULL::shop.mart_daily_kpis, ''2026-11-20 08:00+00'').';
    END IF;
    RETURN QUERY EXECUTE format(
        'WITH later AS (
            SELECT * FROM shop.restatements WHERE restatements.view_name = $1 AND restated_at > $2
        ),
        -- What stood there before the first of the later restatements.
        before AS (
            SELECT key, min(day) AS day, (array_agg(old IS NULL ORDER BY restatement_id))[1] AS was_absent
            FROM later
            GROUP BY key
        ),
        undone AS (
            SELECT key, jsonb_object_agg(name, value) AS figures
            FROM (
                SELECT DISTINCT ON (key, name) key, name, value
                FROM later CROSS JOIN LATERAL jsonb_each(later.old) AS figure (name, value)
                ORDER BY key, name, restatement_id
            ) AS oldest
            GROUP BY key
        ),
        present AS (
            SELECT to_jsonb(stored) AS figures, jsonb_build_object(%s) AS key, %s AS day FROM %s AS stored
        )
        SELECT as_published.*
        FROM present
        FULL JOIN before USING (key)
        LEFT JOIN undone USING (key)
        JOIN shop.closed_days AS closed
            ON closed.view_name = $1 AND closed.day = coalesce(present.day, before.day) AND closed.closed_at <= $2
        CROSS JOIN LATERAL jsonb_populate_record(
            $3, key || coalesce(present.figures, ''{}'') || coalesce(undone.figures, ''{}'')
        ) AS as_published
        WHERE before.was_absent IS NOT TRUE',
        pairs, day, relation
    ) USING view_name, moment, figures;
END
$$;

COMMENT ON FUNCTION shop.as_of IS
    'The rows of a view as they were published at a moment, of the days that were closed by then: SELECT * FROM shop.as_of(NULL::shop.mart_daily_kpis, ''2026-11-20 08:00+00'').';

GRANT SELECT, INSERT ON shop.closed_days, shop.restatements TO shop_ops;
GRANT SELECT ON shop.closed_days, shop.restatements TO shop_quality, shop_analyst;
