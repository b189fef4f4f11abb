#!/usr/bin/env bash
# Creates missing files in docker/secrets/ (random, mode 0600) and docker/.env; existing ones are never changed. The
# containers run with the id of the user who owns the secrets. Run as root, this script gives them to an unused id.
set -euo pipefail
umask 077

readonly UNPRIVILEGED=10001
readonly ROLES=(owner ingest ops quality analyst airflow)

here=$(cd "$(dirname "$0")" && pwd)
# Only tests pass other paths.
directory=${1:-$here/secrets}
environment=${2:-$here/.env}

if [ "$(id -u)" = 0 ]; then
    uid=$UNPRIVILEGED gid=$UNPRIVILEGED
else
    uid=$(id -u) gid=$(id -g)
fi

# Write stdin to a secret atomically, unless the secret exists already.
keep() {
    local path=$directory/$1
    cat >"$path.partial"
    if [ -s "$path" ]; then
        rm "$path.partial"
    else
        mv "$path.partial" "$path"
        echo "created $path"
    fi
}

random() {
    openssl rand -base64 "$1" | tr -d '\n=' | tr '+/' '-_'
}

# Print one line per role, extracted from the common pgpass: a role has the same password in every file.
passfile() {
    local role
    for role; do
        grep ":shop_$role:" "$directory/pgpass"
    done
}

command -v openssl >/dev/null || {
    echo "error: openssl is missing. Install it with your package manager." >&2
    exit 1
}
mkdir -p "$directory"

random 32 | keep postgres-password
for role in "${ROLES[@]}"; do
    echo "*:*:*:shop_$role:$(random 24)"
done | keep pgpass
{
    passfile "${ROLES[@]}"
    echo "*:*:*:postgres:$(cat "$directory/postgres-password")"
} | keep pgpass-prepare
passfile airflow owner ops quality | keep pgpass-airflow
passfile ingest | keep pgpass-spark
passfile ops | keep pgpass-metrics
passfile analyst | keep pgpass-pgadmin
openssl rand -base64 32 | tr '+/' '-_' | keep fernet-key
random 32 | keep api-secret-key
random 64 | keep jwt-secret
random 12 | keep admin-password
random 24 | keep redis-password
echo "redis://:$(cat "$directory/redis-password")@redis:6379/0" | keep broker-url
random 12 | keep grafana-password
random 12 | keep pgadmin-password

if [ ! -e "$environment" ]; then
    sed -e "s/^SHOPSTREAM_UID=.*/SHOPSTREAM_UID=$uid/" -e "s/^SHOPSTREAM_GID=.*/SHOPSTREAM_GID=$gid/" \
        "$here/.env.example" >"$environment"
    echo "created $environment"
fi
if [ "$(id -u)" = 0 ]; then
    # shellcheck disable=SC1090 # made above
    owner=$(. "$environment" && echo "$SHOPSTREAM_UID:$SHOPSTREAM_GID")
    chown -R "$owner" "$directory"
fi
