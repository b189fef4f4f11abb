#!/usr/bin/env bash
# Prints the Secrets of the namespace, from the files that docker/secrets.sh has created:
#   docker/secrets.sh && docker/kubernetes/secrets.sh docker/secrets | kubectl apply -f -
# Each pod gets what it needs and no more: the driver the password of one role, executors nothing.
set -euo pipefail

directory=${1:?must be the directory of secrets that docker/secrets.sh created}
namespace=${SHOPSTREAM_NAMESPACE:-shopstream}
host=${SHOPSTREAM_DATABASE_HOST:-shopstream-db-rw}
readonly TLS="sslmode=verify-full&sslrootcert=/etc/shopstream/ca/ca.crt"

# name type key=file…
secret() {
    printf -- '---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: %s\n  namespace: %s\ntype: %s\ndata:\n' \
        "$1" "$namespace" "$2"
    shift 2
    local pair
    for pair; do
        printf '  %s: %s\n' "${pair%%=*}" "$(base64 <"${pair#*=}" | tr -d '\n')"
    done
}

for file in postgres-password pgpass-prepare pgpass-airflow pgpass-spark fernet-key api-secret-key jwt-secret \
    admin-password; do
    [ -s "$directory/$file" ] || {
        echo "error: $directory/$file is missing. Run docker/secrets.sh, which creates missing files." >&2
        exit 1
    }
done

made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
umask 077
printf postgres >"$made/username"
# The value of a password Secret must not end with a newline.
tr -d '\n' <"$directory/postgres-password" >"$made/password"
password=$(sed -n 's/^\*:\*:\*:shop_airflow://p' "$directory/pgpass-airflow")
[ -n "$password" ] || {
    echo "error: $directory/pgpass-airflow has no password for shop_airflow. Remove it and run docker/secrets.sh." >&2
    exit 1
}
printf 'postgresql+psycopg2://shop_airflow:%s@%s:5432/airflow?%s' "$password" "$host" "$TLS" >"$made/connection"
# asyncpg has other option names, and reads the authority from PGSSLROOTCERT.
printf 'postgresql+asyncpg://shop_airflow:%s@%s:5432/airflow?ssl=verify-full' "$password" "$host" \
    >"$made/connection-async"
for key in fernet-key api-secret-key jwt-secret; do
    tr -d '\n' <"$directory/$key" >"$made/$key"
done

secret shopstream-postgres kubernetes.io/basic-auth "username=$made/username" "password=$made/password"
secret shopstream-prepare Opaque "pgpass=$directory/pgpass-prepare" "fernet-key=$made/fernet-key" \
    "api-secret-key=$made/api-secret-key" "jwt-secret=$made/jwt-secret" "admin-password=$directory/admin-password"
secret shopstream-airflow Opaque "connection=$made/connection" "connection-async=$made/connection-async" \
    "fernet-key=$made/fernet-key" "api-secret-key=$made/api-secret-key" "jwt-secret=$made/jwt-secret"
secret shopstream-roles Opaque "pgpass=$directory/pgpass-airflow"
secret shopstream-driver Opaque "pgpass=$directory/pgpass-spark"
