#!/bin/sh
# The downloader against a real nginx, over http and https: many files at once, resuming, digests,
# failures and their exit codes, and memory that does not grow with the file.
set -u
. "$top_srcdir/tests/support/tap.sh"

downloader=$top_builddir/examples/downloader
if ! PATH=$PATH:/usr/sbin command -v nginx >/dev/null; then
    echo '1..0 # SKIP nginx is not installed'
    exit 0
fi

dir=$(mktemp -d "${TMPDIR:-/tmp}/downloader.XXXXXX") || exit 99
nginx() {
    sh "$top_srcdir/tests/support/nginx.sh" "$@"
}
clean_up() {
    [ -z "${slow_pid-}" ] || kill "$slow_pid" 2>/dev/null
    [ -z "${cutter_pid-}" ] || kill "$cutter_pid" 2>/dev/null
    nginx stop "$dir/nginx"
    rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 99' HUP INT TERM

mkdir -p "$dir/nginx/www/many" "$dir/out"
cd "$dir/out" || exit 99

# /slow/ gives what / does, at 1 MB a second, so that a download can be stopped on the way.
cat >"$dir/nginx/extra.conf" <<END
location /slow/ { alias "$dir/nginx/www/"; limit_rate 1m; }
location /whole/ { alias "$dir/nginx/www/"; max_ranges 0; }
location /busy { return 503; }
location /moved/ { return 302 /; }
location /away/ { rewrite ^/away/(.*)\$ /\$1 redirect; }
END
www=$dir/nginx/www
i=0
while [ $i -lt 200 ]; do
    head -c $((1 + i * 997)) /dev/urandom >"$www/many/$i.bin"
    i=$((i + 1))
done
head -c 3000000 /dev/urandom >"$www/three.bin"
: >"$www/empty.bin"
truncate -s 256M "$www/big.bin"

ports=$(nginx start "$dir/nginx" $$) || exit 99
http=http://127.0.0.1:$(echo "$ports" | sed -n 's/^http //p')
https_port=$(echo "$ports" | sed -n 's/^https //p')
https=https://localhost:$https_port
ca=$dir/nginx/ca.pem

# expect NAME CODE COMMAND...: the command must end with CODE.
expect() {
    name=$1 code=$2
    shift 2
    fault=$("$@" 2>&1 >/dev/null)
    got=$?
    if [ $got -eq "$code" ]; then
        tap "$name" ''
    else
        tap "$name" "exit code $got, not $code: $fault"
    fi
}

# same NAME FILE...: each must be as nginx has it, and no parts may be left.
same() {
    name=$1 faults=
    shift
    for file; do
        cmp -s "$file" "$www/${file#"$dir/out/"}" || faults="$faults $file"
    done
    tap "$name" "$faults$(find "$dir/out" -name '*.part*')"
    rm -rf "$dir/out/"*
}

# ---- many files ------------------------------------------------------------------------

many() {
    base=$1
    shift
    set -- "$@" -j 200
    i=0
    while [ $i -lt 200 ]; do
        set -- "$@" -o "many/$i.bin" "$base/many/$i.bin"
        i=$((i + 1))
    done
    "$downloader" "$@"
}

mkdir many
expect '200 files at once over http' 0 many "$http"
same 'all 200 are complete' many/*.bin
mkdir many
expect '200 files at once over https' 0 many "$https" --cacert "$ca"
same 'all 200 are complete over TLS' many/*.bin
expect 'an empty file is a file' 0 "$downloader" "$http/empty.bin"
same 'it is there' empty.bin
expect 'redirects are followed with -L' 0 "$downloader" -L -o three.bin "$http/away/three.bin"
same 'what they lead to is complete' three.bin
expect 'redirects are refused without -L' 22 "$downloader" -o x "$http/away/three.bin"

# ---- digests ---------------------------------------------------------------------------

sum=$(sha256sum "$www/three.bin" | cut -d' ' -f1)
expect 'a file with the right digest is kept' 0 \
    "$downloader" --sha256 "$sum" "$http/three.bin"
same 'it is complete' three.bin
expect 'a file with another digest is an error' 95 \
    "$downloader" --sha256 "$(echo "$sum" | tr 0-9a-f 1-9a-f0)" "$http/three.bin"
tap 'and is removed' "$(ls)"

# ---- resuming --------------------------------------------------------------------------

# A download that was stopped on the way leaves FILE.part and FILE.part.meta. (A shell starts what runs in
# the background with SIGINT ignored.)
interrupt() {
    env --default-signal=INT "$downloader" -s -o three.bin "$http/slow/three.bin" 2>/dev/null &
    slow_pid=$!
    # nginx lets a part pass at once; the rest takes two seconds.
    until [ -s three.bin.part ]; do
        kill -0 $slow_pid 2>/dev/null || break
    done
    kill -INT $slow_pid
    wait $slow_pid
    interrupted=$?
    slow_pid=
}

# sent STATUS BYTES: nginx has answered so. It writes its log when a request is over, which may
# be a moment later than the client's end of it.
sent() {
    for _ in $(seq 100); do
        awk -v s="$1" -v b="$2" '$9 == s && $10 == b { found = 1 } END { exit !found }' \
            "$dir/nginx/access.log" && return
        sleep 0.05
    done
    tail -n 3 "$dir/nginx/access.log"
}

interrupt
tap 'an interrupted download ends with 130' \
    "$([ $interrupted -eq 130 ] || echo "exit code $interrupted")"
tap 'and leaves its part' "$([ -s three.bin.part ] && [ -s three.bin.part.meta ] || ls -l)"
have=$(stat -c %s three.bin.part)
expect 'a part is continued by -C -' 0 \
    "$downloader" -C - --sha256 "$sum" -o three.bin "$http/slow/three.bin"
tap 'only the rest is sent' \
    "$(sent 206 $((3000000 - have)))"
same 'the file is complete' three.bin

interrupt
head -c 3000000 /dev/urandom >"$www/three.new"
touch -d '1 hour ago' "$www/three.new"
mv "$www/three.new" "$www/three.bin"
expect 'a part of another version is not continued' 0 \
    "$downloader" -C - -o three.bin "$http/slow/three.bin"
tap 'all of the new one is sent' "$(sent 200 3000000)"
same 'it is the new one' three.bin

# A server that ignores ranges sends everything.
interrupt
sed -i '1s,/slow/,/whole/,' three.bin.part.meta
expect 'a server without ranges begins again' 0 \
    "$downloader" -C - -o three.bin "$http/whole/three.bin"
same 'the file is whole' three.bin

# All of it is there, only the name was not given yet.
interrupt
cp "$www/three.bin" three.bin.part
expect 'a part that is complete is finished' 0 \
    "$downloader" -C - -o three.bin "$http/slow/three.bin"
tap 'nothing is sent again' "$(sent | grep -v '^416')"
same 'it is complete' three.bin

# A part that is longer than the file cannot be its part.
interrupt
head -c 4000000 /dev/zero >three.bin.part
expect 'a part that is too long is thrown away' 0 \
    "$downloader" -C - -o three.bin "$http/slow/three.bin"
same 'it is complete' three.bin

# Without its validator nobody knows what a part is a part of.
head -c 1000 /dev/zero >three.bin.part
expect 'a part without a validator is thrown away' 0 \
    "$downloader" -C - -o three.bin "$http/three.bin"
same 'it is complete' three.bin

# A validator that no server can have given would only be refused.
interrupt
sed -i '2s/$/\r/' three.bin.part.meta
expect 'a part with a broken validator is thrown away' 0 \
    "$downloader" -C - -o three.bin "$http/slow/three.bin"
same 'it is complete' three.bin

# Somebody else's link must not lead the download elsewhere.
echo precious >"$dir/precious"
ln -s "$dir/precious" three.bin.part
expect 'a part that is a symbolic link is refused' 23 "$downloader" "$http/three.bin"
rm three.bin.part
ln -s "$dir/precious" three.bin.part.meta
expect 'so is one beside it' 23 "$downloader" "$http/three.bin"
tap 'and what it leads to is left alone' "$(grep -v precious "$dir/precious"; \
    [ -s "$dir/precious" ] || echo empty)"
rm -f three.bin*

# ---- trying again ----------------------------------------------------------------------

if command -v python3 >/dev/null; then
    mkfifo "$dir/port"
    python3 "$top_srcdir/tests/integration/cutting-server.py" "$www/three.bin" \
        "$dir/cuts" >"$dir/port" 2>/dev/null &
    cutter_pid=$!
    read -r port <"$dir/port"
    expect 'a download that is cut goes on by itself' 0 \
        "$downloader" -o three.bin "http://127.0.0.1:$port/three.bin"
    tap 'from where it was cut' \
        "$(printf '200 0 None\n206 1000000 "strong-1"\n' | diff - "$dir/cuts")"
    same 'it is complete' three.bin
    expect 'without tries left it is 18' 18 \
        "$downloader" --retry 0 -o three.bin "http://127.0.0.1:$port/other.bin"
    tap 'and the part stays' "$(stat -c %s three.bin.part | grep -v '^1000000$')"
    rm -f three.bin*
    expect 'a busy server is asked again' 0 \
        "$downloader" -o three.bin "http://127.0.0.1:$port/busy/three.bin"
    same 'and gives the file' three.bin
    expect 'a range that is shorter than announced is continued' 0 \
        "$downloader" -o three.bin "http://127.0.0.1:$port/short/three.bin"
    same 'until the file is complete' three.bin
    expect 'a range that is longer than announced is thrown away' 0 \
        "$downloader" -o three.bin "http://127.0.0.1:$port/long/three.bin"
    same 'and the file is fetched again' three.bin
    kill $cutter_pid
    cutter_pid=
else
    echo '# python3 is not there: the downloads that are cut were left out'
fi

# ---- failures --------------------------------------------------------------------------

expect 'a missing file is 22' 22 "$downloader" "$http/missing.bin"
expect 'a busy server is 22 after its tries' 22 "$downloader" --retry 0 "$http/busy"
tap 'nothing is left of them' "$(ls)"
expect 'one failure of several is seen' 22 "$downloader" "$http/three.bin" "$http/missing.bin"
same 'and the others are complete' three.bin
expect 'a bad URL is 3' 3 "$downloader" -o x 'http://user@127.0.0.1/x'
expect 'an unknown host is 6' 6 "$downloader" --retry 0 http://name.invalid/x
expect 'a refused connection is 7' 7 "$downloader" --retry 0 http://127.0.0.1:1/x
expect 'an unknown authority is 60' 60 "$downloader" "$https/three.bin"
expect 'the certificate of another host is 60' 60 \
    "$downloader" --cacert "$ca" https://127.1:$https_port/three.bin
expect 'plain HTTP spoken to a TLS client is 35' 35 \
    "$downloader" --retry 0 "https://127.0.0.1:${http##*:}/three.bin"
expect '-k trusts anyone' 0 "$downloader" -k "https://127.1:$https_port/three.bin"
same 'and the file is complete' three.bin
expect 'a CA file that is not there is 77' 77 "$downloader" --cacert /missing "$https/x"
expect 'a folder that is not there is 23' 23 "$downloader" -o missing/x "$http/three.bin"
expect 'two URLs for one file are refused' 2 "$downloader" "$http/a/x" "$http/b/x"
expect 'a URL without a name is refused' 2 "$downloader" "$http/"
expect 'an empty name is refused' 2 "$downloader" -o '' "$http/three.bin"
expect 'a folder as a name is refused' 2 "$downloader" -o "$dir/out/" "$http/three.bin"
expect 'no URL is refused' 2 "$downloader" -s
expect '--help helps' 0 "$downloader" --help
tap 'nothing is left of all that' "$(ls)"

# ---- a full disk -----------------------------------------------------------------------

# A limit on file sizes stands in for a full disk: the write fails on the way.
full_disk() (
    ulimit -f 1024
    trap '' XFSZ
    exec "$downloader" --retry 0 "$http/big.bin"
)
expect 'a file that does not fit is 23' 23 full_disk
rm -f big.bin*

# ---- memory ----------------------------------------------------------------------------

# What a process had at most, in KiB.
peak_memory() {
    "$downloader" -s -o "$1" "$2" &
    pid=$!
    peak=0
    while kill -0 $pid 2>/dev/null; do
        now=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' /proc/$pid/status 2>/dev/null)
        [ -z "$now" ] || peak=$now
    done
    wait $pid || echo "exit code $?"
    echo "$peak"
}
small=$(peak_memory three.bin "$http/slow/three.bin")
rm -f three.bin
big=$(peak_memory big.bin "$http/big.bin")
tap '256 MiB take no more memory than 3 MB, within 8 MiB' \
    "$([ "$big" -le $((small + 8192)) ] || echo "$big KiB, not $small KiB")"
same 'and are complete' big.bin

tap_end
