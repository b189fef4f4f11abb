-- name: database_exists
SELECT EXISTS (SELECT FROM pg_database WHERE datname = %(database)s);

-- name: create_database
-- template0, so that nothing that was put into template1 by hand comes along.
CREATE DATABASE {database} OWNER {owner} TEMPLATE template0;

-- name: clone_database
CREATE DATABASE {database} OWNER {owner} TEMPLATE {template} STRATEGY file_copy;

-- name: checkpoint
CHECKPOINT;

-- name: drop_database
DROP DATABASE {database} WITH (FORCE);

-- name: close_database
-- Only the named roles may connect; those that only read may not make temporary tables either.
REVOKE ALL ON DATABASE {database} FROM PUBLIC;
GRANT CONNECT ON DATABASE {database} TO {connecting};
GRANT TEMPORARY ON DATABASE {database} TO {writing};

-- name: set_password
ALTER ROLE {role} PASSWORD %(password)s;
