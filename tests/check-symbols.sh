#!/bin/sh
# Names: the library exports what its headers declare with AN_API and nothing else, and no
# object of it has a global name that could meet a program's own.
set -u
. "$top_srcdir/tests/support/tap.sh"

work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
library=$top_builddir/.libs/libasyncnet.so

# Names of the compiler's instrumentation are not ours.
ours() {
    grep -v -E '^(__odr_asan|__asan|__ubsan|__tsan|__gcov|__start_|__stop_|_init$|_fini$)'
}

tap 'the shared library was found' "$([ -f "$library" ] || echo "$library")"

${NM:-nm} -D --defined-only "$library" | sed 's/.* //; s/@.*//' | ours | sort -u >"$work/exported"
tap 'every exported symbol begins with an_' "$(grep -v '^an_[a-z0-9]' "$work/exported")"

find "$top_builddir/src" -name '*.o' -exec ${NM:-nm} -g --defined-only {} + 2>/dev/null |
    sed -n 's/^[0-9a-f]* [A-Z] //p' | ours | sort -u >"$work/global"
tap 'every global symbol begins with an_' "$(grep -v '^an_' "$work/global")"

# Without the preprocessor's lines and comments, each statement on one line; then the name
# before the first parenthesis.
cat "$top_srcdir"/include/asyncnet/*.h | grep -v '^AN_[A-Z]*_DECLS' |
    sed -e ':join' -e '/\\$/{N;s/\\\n//;b join' -e '}' | grep -v '^#' | tr '\n\t' '  ' |
    sed 's|/\*|\n&|g; s|\*/|&\n|g' | grep -v '^/\*' | tr '\n' ' ' | tr ';{}' '\n\n\n' |
    grep '^ *AN_API ' | sed 's/^[^(]*[ *]\(an_[a-z0-9_]*\) *(.*/\1/' | sort -u >"$work/declared"
tap 'what is exported is declared in a public header' "$(comm -23 "$work/exported" "$work/declared")"
tap 'what a public header declares is exported' "$(comm -13 "$work/exported" "$work/declared")"
tap_end
