#!/bin/sh
# The tours: every line of what they print, of the first two on the virtual clock. When a tour has
# changed on purpose, `examples/tour_core --virtual >tests/integration/tour_core.expected` says
# so; `examples/tour_io >tests/integration/tour_io.expected` has no clock to set. The chapter
# on databases is compared with tour_io_db.expected.
set -u
. "$top_srcdir/tests/support/tap.sh"

dir=$(mktemp -d "${TMPDIR:-/tmp}/tour.XXXXXX") || exit 99
chmod 711 "$dir"
mkdir "$dir/pg"
cluster() {
    sh "$top_srcdir/scripts/lib/pg-cluster.sh" "$@"
}
clean_up() {
    [ -z "$(ls "$dir/pg")" ] || cluster stop "$dir/pg"
    rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 99' HUP INT TERM

# run NAME [OPTION]...: has the tour print to $dir/out.
run() {
    name=$1
    shift
    timeout 60 "$top_builddir/examples/$name" "$@" >"$dir/out" 2>"$dir/err"
    status=$?
    tap "$name${*:+ $1} ends well" "$([ $status = 0 ] || echo "exit code $status")"
    tap "$name${*:+ $1} has no complaints" "$(cat "$dir/err")"
}

# compare NAME: with what $dir/out has.
compare() {
    tap "$1 prints what is expected" \
        "$(diff -u "$top_srcdir/tests/integration/$1.expected" "$dir/out")"
}

run tour_core --virtual
compare tour_core
run tour_sync --virtual
compare tour_sync
run tour_io
compare tour_io

if database=$(cluster start "$dir/pg" $$ 2>"$dir/err"); then
    run tour_io --database "$database"
    sed -n '/^== A database/,/^== WebSocket/p' "$dir/out" >"$dir/chapter"
    mv "$dir/chapter" "$dir/out"
    compare tour_io_db
elif grep -q 'initdb not found' "$dir/err"; then
    tap 'tour_io_db prints what is expected # SKIP PostgreSQL is not installed' ''
else
    tap 'a PostgreSQL for tour_io starts' "$(cat "$dir/err")"
fi

timeout 60 "$top_builddir/examples/tour_core" --vritual >"$dir/out" 2>"$dir/err"
status=$?
tap 'an unknown option is refused' "$([ $status = 2 ] || echo "exit code $status")"
tap_end
