#!/bin/sh
# Style that a program can see: lines of at most 90 columns (a tab is 8), functions of at most 100
# lines, no space at the end of a line, no path of somebody's machine.
set -u
. "$top_srcdir/tests/support/tap.sh"
cd "$top_srcdir" || exit 1

sources=$(find src include tests examples bench -name '*.[ch]' 2>/dev/null | sort)
others=$(find src include tests examples bench scripts docs gdb .ci \
    \( -name '*.mk' -o -name '*.sh' -o -name '*.py' -o -name '*.md' -o -name '*.S' \
    -o -path 'scripts/[a-z]*' -o -path '.ci/run' \) -type f 2>/dev/null | sort)

# $sources is split on purpose. Bytes that go on a character (UTF-8) take no column.
tap 'lines have at most 90 columns' "$(
    for f in $sources; do
        expand -t 8 "$f" | LC_ALL=C awk -v f="$f" '{
            gsub(/[\200-\277]/, "")
            if (length($0) > 90)
                print f ":" FNR ": " length($0)
        }'
    done
)"

# A function's body is between a brace in the first column and the next one.
tap 'functions have at most 100 lines' "$(
    awk 'FNR == 1 { start = 0 }
        /^{/ { start = FNR; head = before }
        /^}/ { if (start && FNR - start > 100) print FILENAME ":" start ": " head; start = 0 }
        { before = $0 }' $sources
)"

tap 'no line ends with a space' "$(grep -nE '[[:space:]]+$' $sources $others | head -n 50)"

tap 'no path of a machine' "$(
    grep -nE '(^|[^a-zA-Z0-9_.$}/-])/(work|root|home)/' $sources $others |
        grep -v '^tests/check-style.sh:' | head -n 50
)"

# Every allocation of the library can be made to fail by a test (loop/base/alloc.h).
raw='(m|c|re|v|pv)alloc|reallocarray|memalign|posix_memalign|aligned_alloc'
raw="$raw|strn?dupa?|v?asprintf|open_memstream"
tap 'src allocates through loop/base/alloc.h alone' "$(
    find src -name '*.[ch]' ! -path 'src/loop/base/alloc.[ch]' \
        -exec grep -nwE "$raw" {} + | head -n 50
)"

# A file that no local.mk names is missing from the tarball, which "make distcheck" finds much later.
tap 'every source file is named by the build' "$(
    for f in $(find src include tests examples bench -name '*.[chS]' | sort); do
        grep -qF "$f" "$top_builddir/Makefile" || echo "$f"
    done
)"
tap_end
