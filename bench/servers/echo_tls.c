/* A TLS server for gauges of idle connections: sends each connection's first message
 * back, and then keeps the connection until its end.
 *
 * Usage: echo_tls; prints its port on 127.0.0.1 and serves until killed. A client opens
 * its connections one after the other.
 */
#include "bench/measure.h"
#include "bench/servers/listen.h"
#include "bench/servers/tls.h"

#include <sys/epoll.h>

static char block[16 * 1024];

static void watch(int ep, int fd, SSL *ssl)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = ssl };

	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event);
}

static void take(int ep, SSL_CTX *ctx, int listener)
{
	SSL *ssl = tls_accept(ctx, listener);
	int n = ssl ? SSL_read(ssl, block, sizeof block) : 0;

	if (n > 0 && SSL_write(ssl, block, n) == n)
		watch(ep, SSL_get_fd(ssl), ssl);
	else if (ssl)
		tls_close(ssl);
}

int main(void)
{
	struct epoll_event events[64];
	SSL_CTX *ctx = tls_server();
	int ep = epoll_create1(0), listener;

	measure_many_files();
	listener = listen_and_tell();
	watch(ep, listener, NULL);
	for (;;) {
		int n = epoll_wait(ep, events, 64, -1);

		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr)
				tls_close(events[i].data.ptr);
			else
				take(ep, ctx, listener);
		}
	}
}
