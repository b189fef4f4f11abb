-- name: lock_grants
-- Serializes grants until the end of the transaction, so that the same decision made twice gives one override.
SELECT pg_advisory_xact_lock(%(key)s);

-- name: held
-- The failures that hold back a view, or all views when none is named, from the newest finished refresh of each.
-- Returns no row when nothing is held back.
SELECT
    array_agg(DISTINCT failure ORDER BY failure) AS covers,
    string_agg(DISTINCT newest.held_because, '; ') AS held_because
FROM (
    SELECT DISTINCT ON (view_name) view_name, held_because, held_by
    FROM shop.refreshes
    WHERE view_name = ANY(%(names)s)
        AND (%(view_name)s::text IS NULL OR view_name = %(view_name)s)
        AND (published_at IS NOT NULL OR held_because IS NOT NULL OR error IS NOT NULL)
    ORDER BY view_name, refresh_id DESC
) AS newest
CROSS JOIN LATERAL unnest(newest.held_by) AS failure
WHERE newest.held_because IS NOT NULL
HAVING count(*) > 0;

-- name: active
-- The overrides in force, the newest first. One that ends with the next publication stays in force for the views that
-- have not been published with it.
SELECT *
FROM shop.publication_overrides AS override
WHERE revoked_at IS NULL
    AND expires_at > clock_timestamp()
    AND (%(view_name)s::text IS NULL OR override.view_name IS NULL OR override.view_name = %(view_name)s)
    AND NOT (
        is_once
        AND EXISTS (
            SELECT FROM shop.refreshes
            WHERE refreshes.override_id = override.override_id
                AND refreshes.published_at IS NOT NULL
                AND refreshes.view_name = coalesce(%(view_name)s, override.view_name, refreshes.view_name)
        )
    )
ORDER BY override_id DESC;

-- name: grant
INSERT INTO shop.publication_overrides (view_name, covers, granted_by, reason, expires_at, is_once)
VALUES (
    %(view_name)s, %(covers)s, %(actor)s, %(reason)s, clock_timestamp() + make_interval(hours => %(hours)s), %(is_once)s
)
RETURNING *;

-- name: revoke
-- Revokes every override in force for the view, including those for all views.
UPDATE shop.publication_overrides
SET revoked_at = clock_timestamp(), revoked_by = %(actor)s
WHERE revoked_at IS NULL
    AND expires_at > clock_timestamp()
    AND (%(view_name)s::text IS NULL OR view_name IS NULL OR view_name = %(view_name)s)
RETURNING override_id;

-- name: record_action
INSERT INTO shop.actions (actor, action, subject, reason) VALUES (%(actor)s, %(action)s, %(subject)s, %(reason)s);
