-- name: limit_time
-- For this transaction only.
SELECT set_config('statement_timeout', %(milliseconds)s, true);
