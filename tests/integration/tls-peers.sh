#!/bin/sh
# TLS against others' implementations and certificates: curl and openssl s_client as clients,
# nginx and openssl s_server as servers.
set -u
. "$top_srcdir/tests/support/tap.sh"

peer=$top_builddir/tests/integration/tls-peer
for program in curl openssl nginx; do
    if ! PATH=$PATH:/usr/sbin command -v $program >/dev/null; then
        echo "1..0 # SKIP $program is not installed"
        exit 0
    fi
done

dir=$(mktemp -d "${TMPDIR:-/tmp}/tls-peers.XXXXXX") || exit 99
pids=
nginx() {
    sh "$top_srcdir/tests/support/nginx.sh" "$@"
}
clean_up() {
    for pid in $pids; do kill "$pid" 2>/dev/null; done
    nginx stop "$dir"
    rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 99' HUP INT TERM

# ---- certificates ------------------------------------------------------------------------

# nginx.sh makes the authority and localhost's certificate.
mkdir "$dir/www"
echo 'hello from nginx' >"$dir/www/index.html"
ports=$(nginx start "$dir" $$) || exit 99
https=$(echo "$ports" | sed -n 's/^https //p')
http=$(echo "$ports" | sed -n 's/^http //p')
cd "$dir" || exit 99

# issue NAME SAN: NAME.pem with its key in it.
issue() {
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" \
        -keyout "$1.key" -out "$1.csr" 2>>openssl.log &&
        printf 'subjectAltName=%s\n' "$2" >"$1.ext" &&
        openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 \
            -extfile "$1.ext" -out "$1.crt" 2>>openssl.log &&
        cat "$1.crt" "$1.key" >"$1.pem" || exit 99
}
cat server.pem server.key >first.pem
issue second DNS:localhost,IP:127.0.0.1
issue other DNS:b.example,DNS:*.wild.example
issue alice email:alice@example
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=nobody \
    -keyout nobody.key -out nobody.crt 2>>openssl.log
cat nobody.crt nobody.key >nobody.pem
# What curl's manual gives as the way to make a pin.
pin_of() {
    openssl x509 -in "$1" -pubkey -noout | openssl pkey -pubin -outform der |
        openssl dgst -sha256 -binary | openssl enc -base64
}

# ---- helpers -----------------------------------------------------------------------------

# has NAME PATTERN TEXT
has() {
    case $3 in
    *"$2"*) tap "$1" '' ;;
    *) tap "$1" "\"$2\" is not in: $3" ;;
    esac
}
hasnot() {
    case $3 in
    *"$2"*) tap "$1" "\"$2\" is in: $3" ;;
    *) tap "$1" '' ;;
    esac
}

# Starts the server, reading its lines from descriptor 5; sets $port and $server.
serve() {
    rm -f lines
    mkfifo lines
    "$peer" serve "$@" >lines 2>server.log &
    server=$!
    pids="$pids $server"
    exec 5<lines
    read -r line <&5 || { cat server.log; exit 99; }
    port=${line#listening on }
}
stop() {
    kill -TERM "$server"
    wait "$server"
    tap "$1" "$([ $? -eq 0 ] || echo 'it ended with an error')"
    exec 5<&-
}
# As https://localhost unless a name is given.
fetch() {
    curl -sS --noproxy '*' -m 20 --cacert ca.pem "$@" 2>&1
}
url() {
    echo "https://${1-localhost}:$port/"
}
# The client: its output and its errors.
ask() {
    timeout 20 "$peer" connect "$@" 2>&1
}
# s_client with a request; its output, and that of the handshake.
s_client() {
    printf 'GET / HTTP/1.0\r\n\r\n' |
        timeout 20 openssl s_client -connect "127.0.0.1:$port" -servername localhost \
            -CAfile ca.pem -ign_eof "$@" 2>&1
}

# ---- curl --------------------------------------------------------------------------------

cp first.pem current.pem
serve cert=current.pem more=other.pem ca=ca.pem request=1
has 'curl verifies the server' 'TLSv1.3 resumed=0 name=localhost' "$(fetch "$(url)")"
has 'curl by address' 'name=- ' "$(fetch "$(url 127.0.0.1)")"
has 'curl with TLS 1.2' TLSv1.2 "$(fetch --tls-max 1.2 "$(url)")"
has 'curl with one suite' TLSv1.3 \
    "$(fetch --tls13-ciphers TLS_CHACHA20_POLY1305_SHA256 "$(url)")"
has 'curl with the pin of the key' TLSv1.3 \
    "$(fetch --pinnedpubkey "sha256//$(pin_of first.pem)" "$(url)")"
has 'curl with a client certificate' peer=CN=alice "$(fetch --cert alice.pem "$(url)")"
has 'curl with the same over TLS 1.2' 'TLSv1.2 resumed=0 name=localhost alpn=- peer=CN=alice' \
    "$(fetch --tls-max 1.2 --cert alice.pem "$(url)")"
has 'curl without one' peer=- "$(fetch "$(url)")"
hasnot 'curl with a self-signed one' TLSv1 "$(fetch --cert nobody.pem "$(url)")"
for name in b.example any.wild.example; do
    has "curl gets the certificate of $name" "name=$name" \
        "$(fetch --resolve "$name:$port:127.0.0.1" "$(url $name)")"
done
has 'curl refuses a name that no certificate has' 'SSL: no alternative' \
    "$(fetch --resolve "c.example:$port:127.0.0.1" "$(url c.example)")"
has 'curl with another authority refuses' 'SSL certificate problem' \
    "$(fetch --cacert nobody.crt "$(url)")"
has 'and the server goes on' TLSv1.3 "$(fetch "$(url)")"

# ---- reloading ---------------------------------------------------------------------------

pin=$(pin_of second.pem)
hasnot 'the new certificate is not there yet' TLSv1 \
    "$(fetch --pinnedpubkey "sha256//$pin" "$(url)")"
head -c 300 second.pem >current.pem
kill -HUP $server
read -r line <&5
has 'half a file is not taken' 'current.pem: ' "$line"
has 'and the old certificate stays' TLSv1.3 \
    "$(fetch --pinnedpubkey "sha256//$(pin_of first.pem)" "$(url)")"
cp second.pem new.pem
mv new.pem current.pem
kill -HUP $server
read -r line <&5
has 'a whole file is taken' reloaded "$line"
has 'and curl sees it' TLSv1.3 "$(fetch --pinnedpubkey "sha256//$pin" "$(url)")"

# ---- openssl s_client --------------------------------------------------------------------

out=$(s_client -tls1_3)
has 's_client verifies the server' 'Verify return code: 0 (ok)' "$out"
has 'and gets an answer' 'TLSv1.3 resumed=0' "$out"
has 's_client with TLS 1.2' 'TLSv1.2 resumed=0' "$(s_client -tls1_2)"
s_client -tls1_2 -sess_out session >/dev/null
has 'a session of TLS 1.2 is resumed' 'TLSv1.2 resumed=1' "$(s_client -tls1_2 -sess_in session)"
has 's_client with TLS 1.1 is refused' 'alert protocol version' \
    "$(s_client -tls1_1 -cipher ALL:@SECLEVEL=0)"
# "R" on a line of its own asks for a renegotiation.
out=$(printf 'R\n' | timeout 20 openssl s_client -connect "127.0.0.1:$port" -tls1_2 \
    -CAfile ca.pem 2>&1)
has 's_client asks for a renegotiation' RENEGOTIATING "$out"
has 'which is refused' 'no renegotiation' "$out"
has 'and the server goes on' TLSv1.3 "$(fetch "$(url)")"
stop 'the server ends at SIGTERM'

serve cert=first.pem ca=ca.pem require=1
hasnot 'without a certificate curl is refused' TLSv1 "$(fetch "$(url)")"
hasnot 'also over TLS 1.2' 'resumed=' "$(fetch --tls-max 1.2 "$(url)")"
has 's_client is told why' 'alert certificate required' "$(s_client -tls1_3)"
has 'with one it is let in' peer=CN=alice "$(s_client -cert alice.pem)"
stop 'the server that demands certificates ends at SIGTERM'

# ---- nginx -------------------------------------------------------------------------------

out=$(ask localhost "$https" ca=ca.pem)
has 'nginx is verified' 'peer=CN=localhost' "$out"
has 'and answers' 'hello from nginx' "$out"
has 'nginx has the pinned key' 'hello from nginx' \
    "$(ask localhost "$https" ca=ca.pem "pin=$(pin_of server.pem)")"
has 'the pin alone is enough' 'hello from nginx' \
    "$(ask localhost "$https" no_verify=1 "pin=$(pin_of server.pem)")"
has 'nginx has no other pinned key' 'AN_ERR_CERT: no key of the peer' \
    "$(ask localhost "$https" ca=ca.pem "pin=$pin")"
has 'nginx is not another host' \
    'AN_ERR_CERT_HOST: certificate is for localhost, 127.0.0.1; not for b.example' \
    "$(ask b.example "$https" ca=ca.pem)"
has 'nginx is not trusted by all' "AN_ERR_CERT: certificate's issuer is unknown: CN=libasyncnet" \
    "$(ask localhost "$https" ca=nobody.crt)"
has 'plain nginx does not speak TLS' 'AN_ERR_TLS: the peer does not speak TLS' \
    "$(ask localhost "$http" ca=ca.pem)"

# ---- openssl s_server --------------------------------------------------------------------

# s_serve OPTION...: sets $port. It says where it listens, as the kernel chose.
s_serve() {
    rm -f lines
    mkfifo lines
    openssl s_server -accept 127.0.0.1:0 -www "$@" >lines 2>>openssl.log &
    server=$!
    pids="$pids $server"
    exec 5<lines
    while read -r line <&5; do
        case $line in
        ACCEPT*) break ;;
        esac
    done
    port=${line##*:}
}
s_stop() {
    kill $server
    wait $server 2>/dev/null
    exec 5<&-
}

s_serve -cert second.pem
out=$(ask localhost "$port" ca=ca.pem)
has 's_server is verified' 'TLSv1.3 resumed=0 name=localhost alpn=- peer=CN=second' "$out"
has 'and answers' 'Ciphers supported' "$out"
s_stop
s_serve -cert second.pem -tls1_2
has 's_server of TLS 1.2' TLSv1.2 "$(ask localhost "$port" ca=ca.pem)"
has 'is too old for TLS 1.3' 'AN_ERR_TLS: peer: protocol version' \
    "$(ask localhost "$port" ca=ca.pem min=13)"
s_stop
s_serve -cert second.pem -tls1_1 -cipher ALL:@SECLEVEL=0
has 's_server of TLS 1.1 is refused' 'AN_ERR_TLS: ' "$(ask localhost "$port" ca=ca.pem)"
s_stop
s_serve -cert nobody.pem
has 'a self-signed s_server is refused' 'AN_ERR_CERT: certificate is self-signed' \
    "$(ask localhost "$port" ca=ca.pem)"
s_stop
s_serve -cert second.pem -Verify 1 -CAfile ca.pem -verify_return_error
has 's_server gets a client certificate' 'Subject: CN=alice' \
    "$(ask localhost "$port" ca=ca.pem cert=alice.pem)"
has 's_server that gets none says so' 'AN_ERR_TLS: peer: certificate required' \
    "$(ask localhost "$port" ca=ca.pem)"
s_stop

tap_end
