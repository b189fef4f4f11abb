-- name: create_ledger
-- The applied migrations; in schema public, because the first migration creates the schema shop.
CREATE TABLE IF NOT EXISTS public.schema_migrations (
    number integer PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- name: lock
SELECT pg_advisory_lock(%(key)s);

-- name: applied
SELECT number, name, checksum FROM public.schema_migrations ORDER BY number;

-- name: record
INSERT INTO public.schema_migrations (number, name, checksum) VALUES (%(number)s, %(name)s, %(checksum)s);
