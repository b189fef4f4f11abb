#!/bin/sh
# Starts Redis with the password from its secret, which must not appear in arguments or the environment. With `ping` it
# checks that Redis answers. Nothing is written to disk: Redis holds only Celery's queue, which Airflow can refill.
set -eu
password=$(cat /run/secrets/redis-password)
if [ "${1:-}" = ping ]; then
    [ "$(REDISCLI_AUTH="$password" redis-cli ping)" = PONG ]
    exit
fi
exec redis-server - <<EOF
requirepass "$password"
save ""
appendonly no
maxmemory 192mb
maxmemory-policy noeviction
EOF
