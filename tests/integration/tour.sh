#!/bin/sh
# The tours on the virtual clock: every line of what they print. When a tour has changed on
# purpose, `examples/tour_core --virtual >tests/integration/tour_core.expected` says so.
set -u
. "$top_srcdir/tests/support/tap.sh"

dir=$(mktemp -d "${TMPDIR:-/tmp}/tour.XXXXXX") || exit 99
trap 'rm -rf "$dir"' EXIT
trap 'exit 99' HUP INT TERM

# compare NAME
compare() {
    timeout 60 "$top_builddir/examples/$1" --virtual >"$dir/out" 2>"$dir/err"
    status=$?
    tap "$1 ends well" "$([ $status = 0 ] || echo "exit code $status")"
    tap "$1 prints what is expected" \
        "$(diff -u "$top_srcdir/tests/integration/$1.expected" "$dir/out")"
    tap "$1 has no complaints" "$(cat "$dir/err")"
}

compare tour_core
compare tour_sync

timeout 60 "$top_builddir/examples/tour_core" --vritual >"$dir/out" 2>"$dir/err"
status=$?
tap 'an unknown option is refused' "$([ $status = 2 ] || echo "exit code $status")"
tap_end
