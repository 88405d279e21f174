#!/bin/sh
# The notes service against a real PostgreSQL: two instances that agree, 1,000 idle WebSockets, a
# database that goes and comes back, and an end that loses no request.
set -u
. "$top_srcdir/tests/support/tap.sh"

service=$top_builddir/examples/microservice
load=$top_builddir/tests/integration/notes-load
if [ ! -x "$service" ]; then
    echo '1..0 # SKIP examples/microservice was not built (jansson)'
    exit 0
fi

dir=$(mktemp -d "${TMPDIR:-/tmp}/notes.XXXXXX") || exit 99
chmod 711 "$dir"
mkdir "$dir/pg"
first= second=
cluster() {
    sh "$top_srcdir/scripts/lib/pg-cluster.sh" "$@"
}
clean_up() {
    for pid in $first $second; do
        kill -KILL "$pid" 2>/dev/null
    done
    cluster stop "$dir/pg"
    rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 99' HUP INT TERM

# start NAME: starts an instance; sets $pid and $url.
start() {
    rm -f "$dir/ready"
    mkfifo "$dir/ready"
    "$service" --listen 127.0.0.1:0 --database "$database" >"$dir/ready" 2>>"$dir/$1.log" &
    pid=$!
    read -r line <"$dir/ready" || {
        sed 's/^/# /' "$dir/$1.log"
        exit 99
    }
    url=http://${line#listening on }
}

# check NAME COMMAND...: the command must end with 0.
check() {
    name=$1
    shift
    fault=$(timeout 110 "$@" 2>&1 >"$dir/out") && fault= || fault="failed: $fault"
    tap "$name" "$fault"
}

# sql QUERY: the one value of it, from psql.
sql() {
    psql -XAtqc "$1" "$database"
}

database=$(cluster start "$dir/pg" $$) || exit 99
# Needs four descriptors for each WebSocket, two of them here.
ulimit -n 4096 2>/dev/null
start first
first=$pid one=$url
start second
second=$pid two=$url

# status [CURL OPTIONS] URL: the answer's status.
status() {
    curl -s -o "$dir/answer" -w '%{http_code}' -m 60 "$@"
}

check 'what one instance writes the other one tells of' \
    "$top_builddir/examples/notes_client" "$one" "$two"
check 'it serves while 1,000 WebSockets idle' "$load" watch "$one" 1000
{ printf '{"text":'; head -c 30000 /dev/zero | tr '\0' '['; } >"$dir/nested"
fault=
[ "$(status --data-binary "@$dir/nested" "$one/notes")" = 422 ] ||
    fault='arrays in arrays were not refused'
[ "$(status --data-binary '{"text":"[[[[","other":{"a":[1]}}' "$one/notes")" = 201 ] ||
    fault="$fault; a note of brackets was"
tap 'a body of 30,000 arrays, one in the other, is refused' "$fault"

kill -0 "$first" 2>/dev/null || tap 'the instance lived on' 'it died'

cluster stop "$dir/pg"
check 'without a database it says so' "$load" until "$one/healthz" 503
cluster start "$dir/pg" $$ >/dev/null || exit 99
check 'and recovers when it is back' "$load" until "$one/healthz" 200
check 'the other one, too' "$load" until "$two/healthz" 200
check 'with the feed' "$top_builddir/examples/notes_client" "$one" "$two"

before=$(sql 'select count(*) from notes')
check 'it ends while it is written to' "$load" drain "$one" "$first"
acknowledged=$(cat "$dir/out")
after=$(sql 'select count(*) from notes')
wait "$first"
status=$?
first=
fault=
[ "$status" = 0 ] || fault="it ended with $status"
[ "$((after - before))" = "$acknowledged" ] ||
    fault="$fault; $((after - before)) were written, $acknowledged acknowledged"
tap 'every request that it carried out was answered, and it ended with 0' "$fault"

kill -TERM "$second"
wait "$second"
status=$?
second=
fault=
[ "$status" = 0 ] || fault="it ended with $status"
tap 'an idle instance ends with 0' "$fault"


fault=
for pool in 0 none -1 99999999999; do
    timeout 20 "$service" --listen 127.0.0.1:0 --database "$database" --pool "$pool" \
        >/dev/null 2>&1
    [ $? = 2 ] || fault="$fault --pool $pool was taken"
done
tap 'a pool of no size is refused' "$fault"

# A session that holds the lock of the schema for as long as the FIFO is open.
mkfifo "$dir/session"
psql -XAtqc 'select 1' -f - "$database" <"$dir/session" >/dev/null &
exec 9>"$dir/session"
echo 'begin; select pg_advisory_xact_lock(7236491);' >&9
locks="select count(*) from pg_locks where locktype = 'advisory' and"
until [ "$(sql "$locks granted")" = 1 ]; do :; done
"$service" --listen 127.0.0.1:0 --database "$database" >/dev/null 2>"$dir/third.log" &
first=$!
until [ "$(sql "$locks not granted")" = 1 ]; do :; done
kill -TERM "$first"
timeout 20 tail --pid="$first" -f /dev/null || kill -KILL "$first"
wait "$first"
status=$?
first=
exec 9>&-
fault=
[ "$status" = 0 ] || fault="it ended with $status"
tap 'SIGTERM ends it while it waits for the database to start with' "$fault"

mkdir "$dir/demo"
sh "$top_srcdir/examples/demo.sh" "$top_builddir" "$dir/demo" "$database" --once >"$dir/out" 2>&1 &
first=$!
until [ -e "$dir/demo/first.log" ]; do :; done
kill -TERM "$first"
wait "$first"
status=$?
first=
fault=
[ "$status" = 130 ] || fault="it ended with $status"
tap 'a demo that is interrupted has not passed' "$fault"

tap_end
