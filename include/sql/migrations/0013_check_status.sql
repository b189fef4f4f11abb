-- A check that was not made is no check that passed: a result has one of four states, and a window does not move past rows
-- that were not judged.

ALTER TABLE shop.quality_results ADD COLUMN status text;

UPDATE shop.quality_results
SET status = CASE
    WHEN error IS NOT NULL THEN 'error'
    WHEN NOT is_judged THEN 'not_judged'
    WHEN is_success THEN 'passed'
    ELSE 'failed'
END;

ALTER TABLE shop.quality_results
    ALTER COLUMN status SET NOT NULL,
    ADD CONSTRAINT quality_results_status_check CHECK (status IN ('passed', 'failed', 'error', 'not_judged')),
    DROP COLUMN is_success,
    DROP COLUMN is_judged;

COMMENT ON COLUMN shop.quality_results.status IS
    'passed; failed; error: the check could not be made; not_judged: there was too little to judge by, observed says what is missing.';

ALTER TABLE shop.quality_runs
    ADD COLUMN is_complete boolean NOT NULL DEFAULT true,
    DROP CONSTRAINT quality_runs_verdict_check,
    ADD CONSTRAINT quality_runs_verdict_check CHECK (verdict IN ('passed', 'warned', 'failed', 'broken', 'not_judged'));

COMMENT ON COLUMN shop.quality_runs.is_complete IS
    'Whether no row of the window is left for a critical check to judge later, together with more rows.';
COMMENT ON COLUMN shop.quality_runs.verdict IS
    'passed; warned: a warning failed; failed: a critical check failed, or cannot be judged since it failed; broken: a check could not be made; not_judged: there was nothing to judge.';

-- Serves the last judged result of one check.
CREATE INDEX quality_results_check ON shop.quality_results (suite, check_name, checked_at DESC);
