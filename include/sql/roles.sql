-- The roles of Shopstream, without passwords. Run by a superuser; harmless when run again.
-- An own PostgreSQL gets them with: psql -f include/sql/roles.sql (docs/operations.md tells the rest).

DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY[
        'shop_owner', 'shop_ingest', 'shop_ops', 'shop_quality', 'shop_analyst', 'shop_airflow'
    ] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I', role);
        END IF;
        EXECUTE format(
            'ALTER ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS', role
        );
    END LOOP;
END
$$;

-- The readers cannot write by their grants; the setting makes a mistake fail at once and says so in plain words.
ALTER ROLE shop_quality SET default_transaction_read_only = on;
ALTER ROLE shop_quality SET statement_timeout = '5min';
ALTER ROLE shop_analyst SET default_transaction_read_only = on;
ALTER ROLE shop_analyst SET statement_timeout = '2min';
-- Less than SHOPSTREAM_STALL_SECONDS: a batch that waits for a lock fails for a reason that is not a fault of its files,
-- and is retried. Otherwise its driver would be ended as stuck, which finally counts against the files.
ALTER ROLE shop_ingest SET lock_timeout = '1min';
-- Readers cannot take the last connections: the stream, Airflow and the checks need theirs (max_connections is 100 unless
-- it was changed). A session that is left open in a transaction ends, for it holds a connection and old rows.
ALTER ROLE shop_analyst CONNECTION LIMIT 40;
ALTER ROLE shop_analyst SET idle_in_transaction_session_timeout = '10min';
