-- The cockpit is the only page for results of the suites; the static pages are no longer written.
ALTER TABLE shop.quality_runs DROP COLUMN docs_path;

-- The planner replaces the call by its body, since the function is one immutable expression.
CREATE FUNCTION shop.funnel_stage(event_type text) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE event_type WHEN 'purchase' THEN 4 WHEN 'order' THEN 3 WHEN 'add_to_cart' THEN 2 WHEN 'view' THEN 1 ELSE 0 END;
COMMENT ON FUNCTION shop.funnel_stage IS
    'The stage of the conversion funnel that an event reaches: view 1, add_to_cart 2, order 3, purchase 4; 0 for others.';

-- Open alerts keep their history under the new keys.
UPDATE shop.alerts SET key = 'watch_stream: no_heartbeat' WHERE key = 'watch_stream: no_sign_of_life';
UPDATE shop.alerts SET key = 'watch_stream: loop_stalled' WHERE key = 'watch_stream: loop_stands_still';
UPDATE shop.alerts SET key = 'watcher: objectives are evaluated' WHERE key = 'watcher: objectives are judged';
