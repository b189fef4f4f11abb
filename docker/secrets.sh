#!/usr/bin/env bash
# Makes what is missing in docker/secrets/ (random, mode 0600) and docker/.env. Run again it changes nothing that is
# there. The containers run with the number of the user who owns the secrets; root gives them to a number of nobody.
set -euo pipefail
umask 077

readonly UNPRIVILEGED=10001
readonly ROLES=(owner ingest ops quality analyst airflow)

here=$(cd "$(dirname "$0")" && pwd)
# Elsewhere only for tests.
directory=${1:-$here/secrets}
environment=${2:-$here/.env}

if [ "$(id -u)" = 0 ]; then
    uid=$UNPRIVILEGED gid=$UNPRIVILEGED
else
    uid=$(id -u) gid=$(id -g)
fi

# Whole or not at all, and never over one that is there.
keep() {
    local path=$directory/$1
    cat >"$path.partial"
    if [ -s "$path" ]; then
        rm "$path.partial"
    else
        mv "$path.partial" "$path"
        echo "made $path"
    fi
}

random() {
    openssl rand -base64 "$1" | tr -d '\n=' | tr '+/' '-_'
}

# A line a role, all of one source: a role has one password, whoever knows it.
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
    echo "made $environment"
fi
if [ "$(id -u)" = 0 ]; then
    # shellcheck disable=SC1090 # made above
    owner=$(. "$environment" && echo "$SHOPSTREAM_UID:$SHOPSTREAM_GID")
    chown -R "$owner" "$directory"
fi
