/* The limit of io.idle_stream: a descriptor and a libevent event that watches it; with
 * TLS an SSL that gives its buffers back. Usage: idle plain|tls alone PORT */
#include "bench/limits/connect.h"
#include "bench/measure.h"

#include <event2/event.h>
#include <openssl/ssl.h>
#include <string.h>

#define MESSAGE 100

static struct event_base *base;
static SSL_CTX *tls;

static void ignore(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
}

static int use_once(int fd)
{
	char message[MESSAGE] = "";

	return send(fd, message, MESSAGE, 0) == MESSAGE &&
	       recv(fd, message, MESSAGE, MSG_WAITALL) == MESSAGE;
}

static int use_once_tls(int fd)
{
	char message[MESSAGE] = "";
	SSL *ssl = SSL_new(tls);

	SSL_set_fd(ssl, fd);
	return SSL_connect(ssl) == 1 && SSL_write(ssl, message, MESSAGE) == MESSAGE &&
	       SSL_read(ssl, message, MESSAGE) == MESSAGE;
}

static void open_many(const char *port, int count)
{
	for (int i = 0; i < count; i++) {
		int fd = connect_to(port);
		struct event *event =
			event_new(base, fd, EV_READ | EV_PERSIST, ignore, NULL);

		if (event_add(event, NULL) || !(tls ? use_once_tls(fd) : use_once(fd)))
			exit(1);
	}
}

int main(int argc, char **argv)
{
	int count = 10000;
	double before;

	if (argc < 4)
		return 2;
	measure_many_files();
	base = event_base_new();
	if (strcmp(argv[1], "tls") == 0) {
		count = 1000;
		tls = SSL_CTX_new(TLS_client_method());
		SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS);
	}
	open_many(argv[3], 1);
	before = measure_resident();
	open_many(argv[3], count);
	printf("%.3f\n", (measure_resident() - before) * 1024 / count);
	return 0;
}
