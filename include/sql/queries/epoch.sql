-- name: limit_lock_wait
SELECT set_config('lock_timeout', %(milliseconds)s, true);

-- name: end_holders
-- Only a writer has long transactions with this role, so these sessions belong to a former writer and must release the
-- lock.
SELECT pg_terminate_backend(pid)
FROM pg_stat_activity
WHERE datname = current_database()
    AND usename = current_user
    AND pid <> pg_backend_pid()
    AND xact_start < clock_timestamp() - make_interval(secs => %(timeout_seconds)s);

-- name: take
-- Waits for a running batch of the present holder, which may still commit; nothing of that holder can commit
-- afterwards.
INSERT INTO shop.writer (query, epoch) VALUES (%(query)s, nextval('shop.epochs'))
ON CONFLICT (query) DO UPDATE SET epoch = nextval('shop.epochs')
RETURNING epoch;

-- name: renew
-- Only the holder may renew: a fenced driver must not take the epoch back.
UPDATE shop.writer SET epoch = nextval('shop.epochs')
WHERE query = %(query)s AND epoch = %(epoch)s
RETURNING epoch;

-- name: close_silent_runs
-- Earlier runs that could not report how they ended.
UPDATE shop.runs
SET ended_at = clock_timestamp(),
    error = format('it ended without reporting a reason; epoch %%s took over', %(epoch)s::bigint)
WHERE query = %(query)s AND epoch < %(epoch)s AND ended_at IS NULL;

-- name: open_run
INSERT INTO shop.runs (epoch, query, mode, host, pid, ui_url, log_path)
VALUES (%(epoch)s, %(query)s, %(mode)s, %(host)s, %(pid)s, %(ui_url)s, %(log_path)s);

-- name: hold
SELECT epoch FROM shop.writer WHERE query = %(query)s FOR UPDATE;

-- name: end_run
UPDATE shop.runs SET ended_at = clock_timestamp(), error = %(error)s
WHERE epoch = %(epoch)s AND ended_at IS NULL;

-- name: beat
UPDATE shop.runs SET heartbeat_at = clock_timestamp()
WHERE epoch = %(epoch)s
RETURNING
    turned_at,
    coalesce((SELECT desired_state FROM shop.stream_control WHERE stream_control.query = runs.query), 'run');
