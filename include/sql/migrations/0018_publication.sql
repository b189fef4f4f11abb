-- "Publish all the same": a person decides that figures are published although named checks fail. The decision is on record.

CREATE TABLE shop.publication_overrides (
    override_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    view_name text,
    covers text[] NOT NULL CHECK (cardinality(covers) > 0),
    granted_by text NOT NULL,
    reason text NOT NULL,
    granted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    is_once boolean NOT NULL,
    revoked_at timestamptz,
    revoked_by text,
    CHECK (expires_at > granted_at),
    CHECK ((revoked_at IS NULL) = (revoked_by IS NULL))
);

COMMENT ON TABLE shop.publication_overrides IS
    'Decisions to publish views although critical checks fail: who decided it, why, and how long it holds. Kept for ever.';
COMMENT ON COLUMN shop.publication_overrides.view_name IS 'The view; NULL for all views.';
COMMENT ON COLUMN shop.publication_overrides.covers IS
    'The failures that the person knew of, as suite/check. A view that fails anything else is held back.';
COMMENT ON COLUMN shop.publication_overrides.is_once IS 'Whether it ends with the next publication of the view.';

ALTER TABLE shop.refreshes
    ADD COLUMN held_by text[],
    ADD COLUMN override_id bigint REFERENCES shop.publication_overrides,
    ADD COLUMN overrode text,
    ADD CONSTRAINT refreshes_override_check CHECK ((override_id IS NULL) = (overrode IS NULL));

COMMENT ON COLUMN shop.refreshes.held_by IS 'The failures that kept it from being published, as suite/check; held_because says them in words.';
COMMENT ON COLUMN shop.refreshes.override_id IS 'The decision that let it through although critical checks failed.';
COMMENT ON COLUMN shop.refreshes.overrode IS 'The critical checks that failed and were overridden.';
COMMENT ON COLUMN shop.refreshes.last_batch_id IS
    'The newest batch that its rows contain: that of the facts when they were worked out, or of the views that it reads.';

GRANT SELECT, INSERT ON shop.publication_overrides TO shop_ops;
GRANT UPDATE (revoked_at, revoked_by) ON shop.publication_overrides TO shop_ops;
GRANT SELECT ON shop.publication_overrides TO shop_quality, shop_analyst;
