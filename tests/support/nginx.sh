#!/bin/sh
# A private nginx on 127.0.0.1, http and https, for tests and the demo.
#
#   nginx.sh start DIR [OWNER_PID]   starts it with all its files in DIR, an existing folder;
#                                    prints two lines, "http PORT" and "https PORT"
#   nginx.sh stop DIR                stops it; DIR stays
#
# DIR/www is what it serves; DIR/ca.pem is the authority that vouches for the certificate of
# "localhost" and 127.0.0.1; DIR/error.log and DIR/access.log tell what happened. DIR/extra.conf,
# if it is there, is included in both servers (locations, limits). When OWNER_PID ends without
# having stopped it, nginx is stopped all the same.
set -eu

fail() {
    echo "nginx.sh: $*" >&2
    exit 1
}

# An authority and a certificate that it vouches for: verification is part of what is tested.
make_certificates() {
    cd "$1"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
        -subj '/CN=libasyncnet test authority' -keyout ca.key -out ca.pem \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
        -subj '/CN=localhost' -keyout server.key -out server.csr
    printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n' >server.ext
    openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 \
        -extfile server.ext -out server.pem
}

# The folder's path may hold anything but a quote.
write_config() {
    dir=$1 http=$2 https=$3
    user=
    [ "$(id -u)" = 0 ] && user='user root;'
    extra=
    [ -f "$dir/extra.conf" ] && extra="include \"$dir/extra.conf\";"
    cat >"$dir/nginx.conf" <<EOF
$user
pid "$dir/nginx.pid";
error_log "$dir/error.log" warn;
worker_processes 1;
daemon on;
events { worker_connections 4096; }
http {
    access_log "$dir/access.log";
    client_body_temp_path "$dir/tmp-body";
    proxy_temp_path "$dir/tmp-proxy";
    fastcgi_temp_path "$dir/tmp-fastcgi";
    uwsgi_temp_path "$dir/tmp-uwsgi";
    scgi_temp_path "$dir/tmp-scgi";
    default_type application/octet-stream;
    sendfile on;
    keepalive_requests 100000;
    root "$dir/www";
    server {
        listen 127.0.0.1:$http;
        server_name localhost;
        $extra
    }
    server {
        listen 127.0.0.1:$https ssl;
        server_name localhost;
        ssl_certificate "$dir/server.pem";
        ssl_certificate_key "$dir/server.key";
        $extra
    }
}
EOF
}

# nginx cannot say which port the kernel chose, so two are drawn here, below the range from which
# the kernel serves others, and nginx's own bind decides: nobody can come in between.
draw_port() {
    n=$(od -An -N2 -tu2 /dev/urandom)
    echo $((10240 + n % 20000))
}

start() {
    dir=$(cd "$1" && pwd) owner=${2-}
    nginx=$(PATH=$PATH:/usr/sbin:/usr/local/sbin command -v nginx) ||
        fail 'nginx not found: install nginx'
    mkdir -p "$dir/www"
    [ -f "$dir/server.pem" ] ||
        (make_certificates "$dir") >"$dir/openssl.log" 2>&1 ||
        fail "openssl failed: $(tail -n 3 "$dir/openssl.log")"
    tries=0
    while :; do
        http=$(draw_port) https=$(draw_port)
        write_config "$dir" "$http" "$https"
        # Descriptors that a caller reads from must not stay open in the daemon.
        if "$nginx" -p "$dir" -e "$dir/error.log" -c "$dir/nginx.conf" \
            >"$dir/start.log" 2>&1 </dev/null; then
            break
        fi
        tries=$((tries + 1))
        if [ $tries -ge 10 ] || ! grep -q 'Address already in use' "$dir/start.log"; then
            fail "nginx did not start: $(tail -n 3 "$dir/start.log")"
        fi
    done
    if [ -n "$owner" ]; then
        (
            tail --pid="$owner" -f /dev/null
            [ ! -f "$dir/nginx.pid" ] || stop "$dir"
        ) >/dev/null 2>&1 </dev/null &
    fi
    echo "http $http"
    echo "https $https"
}

stop() {
    [ -f "$1/nginx.pid" ] || return 0
    pid=$(cat "$1/nginx.pid")
    kill -TERM "$pid" 2>/dev/null || return 0
    timeout 30 tail --pid="$pid" -f /dev/null
}

case ${1-}:$# in
start:2 | start:3) shift && start "$@" ;;
stop:2) stop "$2" ;;
*) fail 'usage: nginx.sh start DIR [OWNER_PID] | nginx.sh stop DIR' ;;
esac
