-- name: changed_by_day
day = ANY(ARRAY(
    SELECT changed.day FROM shop.changed_days AS changed
    WHERE changed.source = ANY({sources}) AND changed.change_id > {change_id}
));

-- name: changed_by_hour
hour = ANY(ARRAY(
    SELECT (changed.day + make_interval(hours => number)) AT TIME ZONE 'UTC'
    FROM shop.changed_days AS changed, generate_series(0, 23) AS number
    WHERE changed.source = ANY({sources}) AND changed.change_id > {change_id}
));
