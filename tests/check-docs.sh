#!/bin/sh
# Every public declaration has a comment, and the manual pages made of them are well-formed.
set -u
. "$top_srcdir/tests/support/tap.sh"

headers=$(ls "$top_srcdir"/include/asyncnet/*.h)

# $headers is split on purpose.
tap 'every public declaration has a comment above it' \
    "$(${AWK:-awk} -f "$top_srcdir/docs/make-man" -v check=1 $headers)"

tap 'every public header is installed' "$(
    for h in $headers; do
        grep -q "/${h##*/}\( \|\$\)" "$top_srcdir/include/asyncnet/local.mk" || echo "${h##*/}"
    done
)"

# testing.h is for tests, which include it themselves.
tap 'the umbrella header has every part' "$(
    for h in $headers; do
        name=${h##*/}
        case $name in asyncnet.h|testing.h) continue ;; esac
        grep -q "^#include <asyncnet/$name>" "$top_srcdir/include/asyncnet/asyncnet.h" ||
            echo "$name"
    done
)"

if command -v mandoc >/dev/null 2>&1; then
    pages=$(mktemp -d)
    ${AWK:-awk} -f "$top_srcdir/docs/make-man" -v out="$pages" -v version=0 -v date=2000-01-01 \
        $headers
    tap 'the manual pages pass mandoc -Tlint' "$(
        cd "$pages" && grep -L '^\.so' ./*.3 | xargs mandoc -Tlint -W warning 2>&1
    )"
    rm -r "$pages"
fi
tap_end
