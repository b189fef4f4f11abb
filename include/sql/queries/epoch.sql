-- name: limit_lock_wait
SELECT set_config('lock_timeout', %(milliseconds)s, true);

-- name: end_holders
-- Only a writer has transactions of this role that last; whoever is not the writer any more must let go.
SELECT pg_terminate_backend(pid)
FROM pg_stat_activity
WHERE datname = current_database()
    AND usename = current_user
    AND pid <> pg_backend_pid()
    AND xact_start < clock_timestamp() - make_interval(secs => %(patience_seconds)s);

-- name: take
-- Waits for a batch under way of the present holder, which may still commit; nothing of it can come after.
INSERT INTO shop.writer (query, epoch) VALUES (%(query)s, nextval('shop.epochs'))
ON CONFLICT (query) DO UPDATE SET epoch = nextval('shop.epochs')
RETURNING epoch;

-- name: renew
-- Only the holder renews: a driver that was fenced must not take the epoch back.
UPDATE shop.writer SET epoch = nextval('shop.epochs')
WHERE query = %(query)s AND epoch = %(epoch)s
RETURNING epoch;

-- name: close_silent_runs
-- Runs before this one that could not say how they ended.
UPDATE shop.runs
SET ended_at = clock_timestamp(), error = format('it ended without a word; epoch %%s took over', %(epoch)s::bigint)
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
    coalesce((SELECT wish FROM shop.stream_control WHERE stream_control.query = runs.query), 'run');
