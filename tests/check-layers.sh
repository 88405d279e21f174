#!/bin/sh
# Folders are layers, and an include or a call may only point downward:
#
#     base < core < sync < combine < io < log < http, db     http < ws
#
# Programs in examples are written on the public headers alone. Headers of the project are
# included by whole paths below src.
set -u
. "$top_srcdir/tests/support/tap.sh"

awk=${AWK:-awk}
layers=$top_srcdir/tests/check-layers.awk
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

# Runs an awk program (standard input) that knows the layers on files.
with_layers() {
    cat >"$work/program.awk"
    $awk -F'\t' -f "$layers" -f "$work/program.awk" "$@"
}

# FILE<TAB>INCLUDED for each folder's includes.
includes_of() {
    find "$@" -name '*.[chS]' -exec grep -H '^[[:space:]]*#[[:space:]]*include' {} + |
        sed -n 's/^\([^:]*\):[^"<]*["<]\([^">]*\)[">].*/\1	\2/p'
}

cd "$top_srcdir" || exit 1
includes_of src >"$work/src"
includes_of include >"$work/include"
includes_of examples >"$work/examples"

tap 'every public header has its layer' "$(
    ls include/asyncnet/*.h >"$work/headers"
    with_layers "$work/headers" <<'EOF'
$0 !~ /\/asyncnet\.h$/ && layer_of($0) == "?" { print $0 ": unknown to tests/check-layers.awk" }
EOF
)"

tap 'includes in src are whole paths' "$(
    sed -n 's|^\(src/\(.*/\)*\)\([^/	]*\)	\(.*\)|\1 \1\3 \4|p' "$work/src" |
        while read -r dir file included; do
            [ -f "src/$included" ] || [ ! -f "$dir$included" ] || echo "$file: $included"
        done
)"

tap 'no include points upward' "$(
    with_layers "$work/src" "$work/include" <<'EOF'
$2 == "asyncnet/asyncnet.h" && $1 ~ /^src/ { print $1 ": the umbrella header"; next }
$1 == "include/asyncnet/asyncnet.h" || ($2 !~ /^asyncnet\// && $2 !~ /^(loop|log|http|ws|db)\//) {
    next
}
!may(layer_of($1), layer_of($2)) { print $1 ": " $2 }
EOF
)"

tap 'examples include public headers alone' "$(
    with_layers "$work/examples" <<'EOF'
$2 ~ /^(loop|log|http|ws|db)\// || $2 ~ /src\// { print $1 ": " $2 }
EOF
)"

# OBJECT<TAB>TYPE<TAB>SYMBOL of every object of the library.
cd "$top_builddir" || exit 1
find src -name '*.o' | sort | while read -r object; do
    ${NM:-nm} "$object" 2>/dev/null | sed -n "s|^[0-9a-f ]* \\([A-Za-z]\\) \\(.*\\)|$object	\\1	\\2|p"
done >"$work/symbols"

tap 'the objects were found' "$([ -s "$work/symbols" ] || echo "none below $top_builddir/src")"

tap 'no call points upward' "$(
    with_layers "$work/symbols" "$work/symbols" <<'EOF'
FNR == NR {
    if ($2 ~ /[TDBRVW]/)
        owner[$3] = layer_of($1)
    next
}
$2 == "U" && ($3 in owner) && !may(layer_of($1), owner[$3]) { print $1 ": " $3 }
EOF
)"
tap_end
