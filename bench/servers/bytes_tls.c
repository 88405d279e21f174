/* The server of bytes.c over TLS.
 *
 * Usage: bytes_tls SIZE; prints its port on 127.0.0.1 and serves one connection at a
 * time until killed.
 */
#include "bench/servers/listen.h"
#include "bench/servers/tls.h"

#include <string.h>

static char block[256 * 1024];

static void serve(SSL *ssl, long long size)
{
	char head[256];
	int n;

	if (SSL_read(ssl, block, sizeof block) <= 0)
		return;
	n = snprintf(
		head, sizeof head,
		"HTTP/1.1 200 OK\r\nContent-Length: %lld\r\nConnection: close\r\n\r\n",
		size);
	if (SSL_write(ssl, head, n) != n)
		return;
	memset(block, 'x', sizeof block);
	while (size > 0) {
		int part = size < (long long)sizeof block ? (int)size : sizeof block;

		if (SSL_write(ssl, block, part) != part)
			return;
		size -= part;
	}
}

int main(int argc, char **argv)
{
	long long size = argc > 1 ? atoll(argv[1]) : 1 << 30;
	SSL_CTX *ctx = tls_server();
	int listener = listen_and_tell();

	for (;;) {
		SSL *ssl = tls_accept(ctx, listener);

		if (!ssl)
			continue;
		serve(ssl, size);
		tls_close(ssl);
	}
}
