-- The cockpit is the only page for results of the suites; the static pages are no longer written.
ALTER TABLE shop.quality_runs DROP COLUMN docs_path;
