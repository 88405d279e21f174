#!/bin/sh
# The demo itself: two instances of the notes service on one database, used through the library's own
# clients. scripts/demo calls it with the database ready.
#
#   examples/demo.sh BUILD_DIR WORK_DIR CONNINFO [--once]
set -u

build=$1 work=$2 database=$3 once=${4-}
first= second=

end() {
    status=$?
    trap - EXIT
    # Each drains and must end with 0.
    for pid in $first $second; do
        kill -TERM "$pid" 2>/dev/null
        wait "$pid" || { echo "demo: an instance ended with $?" >&2 && status=1; }
    done
    exit $status
}
trap end EXIT
# Checks that were cut short have not passed.
[ "$once" = --once ] && ended=130 || ended=0
trap 'exit $ended' INT TERM

# Starts an instance; sets $pid and $address.
start() {
    mkfifo "$work/$1.ready"
    "$build/examples/microservice" --listen 127.0.0.1:0 --database "$database" \
        >"$work/$1.ready" 2>"$work/$1.log" &
    pid=$!
    read -r line <"$work/$1.ready" || {
        cat "$work/$1.log" >&2
        exit 1
    }
    address=${line#listening on }
}

start first
first=$pid one=$address
start second
second=$pid two=$address

echo "== notes at one instance, the feed at the other"
"$build/examples/notes_client" "http://$one" "http://$two" >"$work/client.out" || exit 1
cat "$work/client.out"
digest=$(tail -n 1 "$work/client.out")

echo "== the export, fetched by the downloader"
"$build/examples/downloader" --sha256 "$digest" -o "$work/export.ndjson" "http://$two/export" ||
    exit 1
[ "$(sha256sum <"$work/export.ndjson")" = "$digest  -" ] || {
    echo 'demo: the file is not what was exported' >&2
    exit 1
}
echo "$(wc -l <"$work/export.ndjson") notes, digest as expected"

[ "$once" = --once ] && exit 0
echo
echo "Open http://$one/ and http://$two/ in a browser; Ctrl-C ends the demo."
wait "$first"
