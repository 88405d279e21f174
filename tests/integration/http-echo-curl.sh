#!/bin/sh
# curl against the echo server: bodies both ways, keep-alive, 100-continue, refusals, the drain.
set -u
. "$top_srcdir/tests/support/tap.sh"

if ! command -v curl >/dev/null; then
    echo '1..0 # SKIP curl is not installed'
    exit 0
fi

dir=$(mktemp -d "${TMPDIR:-/tmp}/http-echo.XXXXXX") || exit 99
pid=
clean_up() {
    [ -z "$pid" ] || kill -9 "$pid" 2>/dev/null
    rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 99' HUP INT TERM

# The line "listening on" comes through a pipe: nothing is waited for by time.
mkfifo "$dir/ready"
"$top_builddir/examples/http_echo" --listen 127.0.0.1:0 >"$dir/ready" &
pid=$!
read -r line <"$dir/ready"
case $line in
"listening on 127.0.0.1:"[1-9]*) fault= ;;
*) fault=$line ;;
esac
tap 'the server says where it listens' "$fault"
url=http://${line#listening on }

fetch() {
    curl -sS --noproxy '*' -m 20 "$@" 2>&1
}
# same NAME EXPECTED GOT
same() {
    if [ "$2" = "$3" ]; then tap "$1" ''; else tap "$1" "got: $3, instead of: $2"; fi
}

same 'a GET gets an empty body' '200 0' \
    "$(fetch -o /dev/null -w '%{http_code} %{size_download}' "$url/a/b?c")"
same 'a body comes back with its type' 'hello text/x-test' \
    "$(fetch -d hello -H 'content-type: text/x-test' -w ' %{content_type}' "$url/")"
same 'a HEAD has no body' '200 0' \
    "$(fetch -I -o /dev/null -w '%{http_code} %{size_download}' "$url/")"
same 'any method is taken' 'x' "$(fetch -X BREW -d x "$url/")"
same 'HTTP/1.0 is answered' 'x' "$(fetch -0 -d x "$url/")"

head -c 900000 /dev/urandom >"$dir/body"
fetch --data-binary "@$dir/body" -o "$dir/back" "$url/" >"$dir/out"
tap 'a large body comes back' "$(cmp "$dir/body" "$dir/back" 2>&1)"
fetch -H 'expect: 100-continue' -T "$dir/body" -o "$dir/back" "$url/" >"$dir/out"
tap 'a large body comes back after 100 Continue' "$(cmp "$dir/body" "$dir/back" 2>&1)"
fetch -H 'transfer-encoding: chunked' --data-binary "@$dir/body" -o "$dir/back" "$url/" >"$dir/out"
tap 'a chunked body comes back' "$(cmp "$dir/body" "$dir/back" 2>&1)"

head -c 1100000 /dev/zero >"$dir/body"
same 'a body above the limit gets 413' '413' \
    "$(fetch --data-binary "@$dir/body" -o /dev/null -w '%{http_code}' "$url/")"
same 'an ambiguous request gets 400' '400' \
    "$(fetch -H 'content-length: 5' -H 'transfer-encoding: chunked' -d hello -o /dev/null \
        -w '%{http_code}' "$url/")"
same 'two requests share a connection' '1 0 ' \
    "$(fetch -w '%{num_connects} ' "$url/1" "$url/2")"

kill -TERM "$pid"
wait "$pid"
same 'SIGTERM drains the server, which ends well' 0 $?
pid=
tap_end
