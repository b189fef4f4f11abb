#!/usr/bin/env bash
# Starts PostgreSQL with TLS. The first start creates an authority, a certificate and the cluster. Every start renews a
# certificate that is about to expire and rewrites the configuration. `include.platform.programs.container prepare` creates
# roles, databases and schema.
#
# Variables: PGDATA; POSTGRES_NAMES, the host names in the certificate, separated by spaces; POSTGRES_MAX_CONNECTIONS;
# POSTGRES_SHARED_BUFFERS_MB, by default a quarter of the memory that this container may use. Arguments go to postgres.
set -euo pipefail
umask 077

readonly MAJOR=18
# Only tests set POSTGRES_ROOT, to a directory that stands for the root of the container.
readonly ROOT=${POSTGRES_ROOT:-}
readonly PASSWORD=$ROOT/run/secrets/postgres-password
readonly TUNING=$ROOT/etc/shopstream/postgresql.conf
# The keys of the authority and of the server, which only this container has.
readonly KEYS=$ROOT/var/lib/postgresql/tls
# The certificate of the authority, for all clients.
readonly PUBLIC=$ROOT/etc/shopstream/ca
readonly SOCKETS=$ROOT/var/run/postgresql
readonly AUTHORITY_DAYS=3650 SERVER_DAYS=397 RENEW_SECONDS=$((30 * 86400))

fail() {
    echo "error: $1. $2." >&2
    exit 78
}

check_surroundings() {
    [ "$(id -u)" != 0 ] || fail "PostgreSQL does not run as root" "Run this container as another user"
    [ -s "$PASSWORD" ] || fail "the secret $PASSWORD is missing, empty or not readable by $(id -un)" \
        "Run \`make docker-secrets\` as the user whose id is SHOPSTREAM_UID in docker/.env"
    if [ -s "$PGDATA/PG_VERSION" ] && [ "$(cat "$PGDATA/PG_VERSION")" != "$MAJOR" ]; then
        fail "$PGDATA holds PostgreSQL $(cat "$PGDATA/PG_VERSION"), this image is $MAJOR" \
            "Upgrade it with pg_upgrade as docs/deployment.md describes, or start the image of its version"
    fi
}

make_authority() {
    local work=$1
    cat >"$work/authority.conf" <<EOF
[req]
prompt = no
distinguished_name = name
x509_extensions = extensions
[name]
CN = Shopstream authority $(openssl rand -hex 4)
[extensions]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
EOF
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days "$AUTHORITY_DAYS" \
        -config "$work/authority.conf" -keyout "$work/ca.key" -out "$work/ca.crt" 2>"$work/log" || cat "$work/log" >&2
    mv "$work/ca.key" "$KEYS/ca.key"
    mv "$work/ca.crt" "$KEYS/ca.crt"
    echo "Created an authority, valid for $AUTHORITY_DAYS days"
}

make_server_certificate() {
    local work=$1 names=$2
    cat >"$work/extensions" <<EOF
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = $names
EOF
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=Shopstream PostgreSQL" \
        -keyout "$work/server.key" -out "$work/request" 2>"$work/log" || cat "$work/log" >&2
    openssl x509 -req -in "$work/request" -CA "$KEYS/ca.crt" -CAkey "$KEYS/ca.key" -days "$SERVER_DAYS" \
        -set_serial "0x$(openssl rand -hex 16)" -extfile "$work/extensions" -out "$work/server.crt" \
        2>"$work/log" || cat "$work/log" >&2
    mv "$work/server.key" "$KEYS/server.key"
    mv "$work/server.crt" "$KEYS/server.crt"
    echo "$names" >"$KEYS/names"
    echo "Created a certificate for $names, valid for $SERVER_DAYS days"
}

prepare_certificates() {
    local work name names=""
    mkdir -p "$KEYS"
    for name in ${POSTGRES_NAMES:-postgres} localhost; do
        names+="DNS:$name, "
    done
    names+="IP:127.0.0.1"
    work=$(mktemp -d "$KEYS/work.XXXXXX")
    if [ ! -s "$KEYS/ca.crt" ]; then
        make_authority "$work"
    fi
    # Without the authority's key, the operator provided the authority and has to renew the certificate.
    if [ -s "$KEYS/ca.key" ]; then
        if [ ! -s "$KEYS/server.crt" ] || [ "$names" != "$(cat "$KEYS/names" 2>/dev/null)" ] \
            || ! openssl x509 -noout -checkend "$RENEW_SECONDS" -in "$KEYS/server.crt" >/dev/null; then
            make_server_certificate "$work" "$names"
        fi
    fi
    rm -rf "$work"
    openssl verify -CAfile "$KEYS/ca.crt" "$KEYS/server.crt" >/dev/null 2>&1 \
        || fail "$KEYS/server.crt is missing, has expired or is not from the authority in $KEYS/ca.crt" \
            "Put ca.crt, server.crt and server.key of one authority there, or remove all three to have new ones made"
    install -m 0644 "$KEYS/ca.crt" "$PUBLIC/ca.crt"
}

make_cluster() {
    # Create the cluster under another name and rename it. An interrupted initdb then never looks like a cluster.
    local partial=$PGDATA.partial
    rm -rf "$partial"
    mkdir -p "$(dirname "$PGDATA")"
    # The built-in locale sorts the same on every machine, independent of its C library.
    initdb -D "$partial" --username=postgres --pwfile="$PASSWORD" --auth-local=peer --auth-host=scram-sha-256 \
        --encoding=UTF8 --locale=C --locale-provider=builtin --builtin-locale=C.UTF-8 --data-checksums --no-instructions
    echo "include 'shopstream.conf'" >>"$partial/postgresql.conf"
    mv "$partial" "$PGDATA"
}

memory_mib() {
    local limit=max
    [ ! -r /sys/fs/cgroup/memory.max ] || limit=$(cat /sys/fs/cgroup/memory.max)
    if [ "$limit" = max ]; then
        awk '/^MemTotal/ { print int($2 / 1024) }' /proc/meminfo
    else
        echo $((limit / 1048576))
    fi
}

write_configuration() {
    local memory shared
    memory=$(memory_mib)
    shared=${POSTGRES_SHARED_BUFFERS_MB:-$((memory / 4))}
    {
        echo "# Written by Shopstream at every start; your own settings go into postgresql.conf, below the include of this."
        cat "$TUNING"
        cat <<EOF
listen_addresses = '*'
port = 5432
unix_socket_directories = '$SOCKETS'
max_connections = ${POSTGRES_MAX_CONNECTIONS:-200}
shared_buffers = '${shared}MB'
effective_cache_size = '$((memory * 2 / 3))MB'

ssl = on
ssl_min_protocol_version = 'TLSv1.3'
ssl_ca_file = '$KEYS/ca.crt'
ssl_cert_file = '$KEYS/server.crt'
ssl_key_file = '$KEYS/server.key'
EOF
    } >"$PGDATA/shopstream.conf"
    cat >"$PGDATA/pg_hba.conf" <<'EOF'
# Written by Shopstream at every start. Network connections require TLS and a password.
# TYPE     DATABASE     USER      ADDRESS  METHOD
local      all          postgres           peer map=superuser
local      all          all                scram-sha-256
hostssl    all          all       all      scram-sha-256
hostnossl  all          all       all      reject
EOF
    echo "superuser \"$(id -un)\" postgres" >"$PGDATA/pg_ident.conf"
}

main() {
    check_surroundings
    prepare_certificates
    if [ ! -s "$PGDATA/PG_VERSION" ]; then
        make_cluster
    fi
    write_configuration
    exec postgres -D "$PGDATA" "$@"
}

main "$@"
