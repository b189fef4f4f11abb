-- name: limit_time
-- For this transaction.
SELECT set_config('statement_timeout', %(milliseconds)s, true);
