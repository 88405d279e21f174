#!/bin/sh
# A private PostgreSQL cluster on a UNIX socket, for tests and the demo.
#
#   pg-cluster.sh start DIR [OWNER_PID]   makes a cluster in DIR, an existing empty folder (or one
#                                         of an earlier start), starts it, and prints a connection
#                                         string
#   pg-cluster.sh stop DIR                stops it; DIR stays
#
# No TCP port is opened; the socket is DIR/.s.PGSQL.5432. Whoever can reach it is let in as any
# role, except members of the role "password_only" (CREATE ROLE it first), who must prove
# theirs: for tests of a wrong password. The superuser is "postgres". Durability is off: the
# cluster is thrown away. As root, PostgreSQL refuses to run; then the cluster is run by
# "postgres", or by "nobody" where there is no such user. When OWNER_PID ends without having
# stopped it, the cluster is stopped all the same. DIR/server.log tells what happened.
set -eu

fail() {
    echo "pg-cluster.sh: $*" >&2
    exit 1
}

# Prints the folder of initdb and pg_ctl; Debian keeps them out of PATH, by version.
find_bin() {
    if command -v initdb >/dev/null 2>&1; then
        dirname "$(command -v initdb)"
        return
    fi
    for d in $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -t/ -k5 -rn) \
        "$(pg_config --bindir 2>/dev/null || :)"; do
        [ ! -x "$d/initdb" ] || { echo "$d" && return; }
    done
    fail 'initdb not found: install postgresql'
}

# Runs a command as the user who owns the cluster.
as_owner() {
    if [ "$(id -u)" != 0 ]; then
        "$@"
    elif id postgres >/dev/null 2>&1; then
        setpriv --reuid postgres --regid postgres --init-groups "$@"
    else
        setpriv --reuid nobody --regid "$(id -g nobody)" --clear-groups "$@"
    fi
}

make_cluster() {
    as_owner "$bin/initdb" -D "$dir/data" -U postgres --auth=trust -E UTF8 --locale=C.UTF-8 \
        --no-sync --no-instructions
    cat >"$dir/postgresql.conf" <<EOF
listen_addresses = ''
unix_socket_directories = '$dir'
fsync = off
synchronous_commit = off
full_page_writes = off
shared_buffers = 32MB
max_connections = 100
logging_collector = off
EOF
    printf 'local all +password_only scram-sha-256\nlocal all all trust\n' >"$dir/pg_hba.conf"
    printf 'local replication all trust\n' >>"$dir/pg_hba.conf"
    cat "$dir/postgresql.conf" | as_owner sh -c 'cat >>"$1"' - "$dir/data/postgresql.conf"
    cat "$dir/pg_hba.conf" | as_owner sh -c 'cat >"$1"' - "$dir/data/pg_hba.conf"
}

start() {
    dir=$(cd "$1" && pwd) owner=${2-}
    [ ${#dir} -le 80 ] || fail "$dir: the path is too long for a UNIX socket"
    bin=$(find_bin)
    cd "$dir"
    if [ "$(id -u)" = 0 ]; then
        chown "$(as_owner id -u):$(as_owner id -g)" "$dir"
        as_owner test -x "$dir" || fail "$dir: a folder above it is closed to $(as_owner id -un)"
    fi
    [ -d "$dir/data" ] || make_cluster >"$dir/initdb.log" 2>&1 ||
        fail "initdb failed: $(tail -n 3 "$dir/initdb.log")"
    as_owner "$bin/pg_ctl" -D "$dir/data" -l "$dir/server.log" -w -t 60 start \
        >"$dir/start.log" 2>&1 </dev/null ||
        fail "PostgreSQL did not start: $(tail -n 3 "$dir/server.log" "$dir/start.log")"
    if [ -n "$owner" ]; then
        (
            tail --pid="$owner" -f /dev/null
            stop "$dir"
        ) >/dev/null 2>&1 </dev/null &
    fi
    echo "host=$dir user=postgres dbname=postgres"
}

# The first line of postmaster.pid is the server's process; SIGINT is its "fast" shutdown.
stop() {
    [ -f "$1/data/postmaster.pid" ] || return 0
    pid=$(head -n 1 "$1/data/postmaster.pid")
    kill -INT "$pid" 2>/dev/null || return 0
    timeout 30 tail --pid="$pid" -f /dev/null
}

case ${1-}:$# in
start:2 | start:3) shift && start "$@" ;;
stop:2) stop "$2" ;;
*) fail 'usage: pg-cluster.sh start DIR [OWNER_PID] | pg-cluster.sh stop DIR' ;;
esac
