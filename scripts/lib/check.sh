#!/bin/sh
# Runs "make check" in a build folder and sums its results up in one line, the last:
#
#   scripts/lib/check.sh BUILD [TARGET]      TARGET: check, or check-core
#
# What failed is shown with its log. When SUM_FILE is set, the line "PASSED FAILED SKIPPED" is
# added to that file.
set -u
build=$1 target=${2-check}

# A result that is left over from an earlier run must not be counted.
find "$build" -name '*.trs' -exec rm -f {} +
make -s -C "$build" -j"$(nproc)" "$target" >"$build/check.log" 2>&1
status=$?

# A program that fails tests also exits with a failure, which the driver counts as one more: it
# counts here only when nothing else tells of it.
sums=$(
    find "$build" -name '*.trs' -exec awk '
        FNR == 1 { close_file(); file = FILENAME }
        /^:test-result: (PASS|XFAIL)/ { passed++ }
        /^:test-result: (FAIL|XPASS)/ { failed_here++ }
        /^:test-result: ERROR/ { errors_here++ }
        /^:test-result: SKIP/ { skipped++ }
        function close_file() {
            failed += failed_here ? failed_here : errors_here
            failed_here = errors_here = 0
        }
        END { close_file(); print passed + 0, failed + 0, skipped + 0 }' {} + |
        awk '{ p += $1; f += $2; s += $3 } END { print p + 0, f + 0, s + 0 }'
)
set -- $sums
passed=$1 failed=$2 skipped=$3

# Without results something else went wrong: the build of a test, or no test at all.
if [ $status -ne 0 ] && [ "$failed" -eq 0 ]; then
    failed=1
    tail -n 40 "$build/check.log"
fi
find "$build" -name '*.trs' -exec grep -lE '^:test-result: (FAIL|XPASS|ERROR)' {} + |
    sort | while read -r trs; do
    echo "==== ${trs%.trs}.log"
    tail -n 60 "${trs%.trs}.log"
done
[ -z "${SUM_FILE-}" ] || echo "$passed $failed $skipped" >>"$SUM_FILE"
line="$passed passed, $failed failed"
[ "$skipped" -eq 0 ] || line="$line, $skipped skipped"
echo "$line"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
