#!/bin/sh
# Starts Redis with the password of its secret, which no argument and no environment shows; `ping` asks it for a sign of
# life. Celery's queue is all that it holds, and Airflow can fill that again: nothing is written to disk.
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
