/* The gauges of streams on bufferevents. What is read is drained, not copied out. An idle
 * connection has EV_READ enabled. Usage: streams_libevent GAUGE PORT [FILE] */
#include "bench/limits/connect.h"
#include "bench/measure.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <string.h>

#define TOTAL (1L << 30)
#define SLICE (32 << 20)
#define PIECE (256 * 1024)
#define MESSAGE 100
#define CONNECTIONS 32
#define ROUND_TRIPS 2000
#define SLICES 30

static struct event_base *base;
static struct measure measure;
static const char *port, *file_name;
static SSL_CTX *tls;
static char block[PIECE];
static long moved, in_slice;

static void finish(void)
{
	exit(measure_end(&measure));
}

static void count_bytes(size_t n)
{
	in_slice += (long)n;
	if (in_slice >= SLICE) {
		measure_slice(&measure, (double)in_slice / 1024);
		in_slice = 0;
	}
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	(void)bev;
	(void)arg;
	if (what & BEV_EVENT_EOF)
		finish();
	if (what & BEV_EVENT_ERROR)
		exit(1);
}

static struct bufferevent *open_one(bufferevent_data_cb on_read,
				    bufferevent_data_cb on_write)
{
	int fd = connect_to(port);
	struct bufferevent *bev;

	evutil_make_socket_nonblocking(fd);
	bev = tls ? bufferevent_openssl_socket_new(base, fd, SSL_new(tls),
						   BUFFEREVENT_SSL_CONNECTING, 0)
		  : bufferevent_socket_new(base, fd, 0);
	bufferevent_set_max_single_read(bev, PIECE);
	bufferevent_set_max_single_write(bev, PIECE);
	bufferevent_setcb(bev, on_read, on_write, on_event, NULL);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
	return bev;
}

/* ---- send ----------------------------------------------------------------------- */

static void send_more(struct bufferevent *bev, void *arg)
{
	(void)arg;
	if (moved >= TOTAL)
		finish();
	moved += PIECE;
	count_bytes(PIECE);
	bufferevent_write(bev, block, PIECE);
}

static void run_send(void)
{
	send_more(open_one(NULL, send_more), NULL);
}

static void refer_more(struct bufferevent *bev, void *arg)
{
	(void)arg;
	if (moved >= TOTAL)
		finish();
	moved += PIECE;
	count_bytes(PIECE);
	evbuffer_add_reference(bufferevent_get_output(bev), block, PIECE, NULL, NULL);
}

static void run_send_ref(void)
{
	refer_more(open_one(NULL, refer_more), NULL);
}

/* libevent uses sendfile() when the output holds nothing else. */
static void send_file_again(struct bufferevent *bev, void *arg)
{
	static struct evbuffer_file_segment *file;

	(void)arg;
	if (!file)
		file = evbuffer_file_segment_new(open(file_name, O_RDONLY), 0, SLICE, 0);
	else
		count_bytes(SLICE);
	if (moved >= TOTAL)
		finish();
	moved += SLICE;
	evbuffer_add_file_segment(bufferevent_get_output(bev), file, 0, SLICE);
}

static void run_send_file(void)
{
	send_file_again(open_one(NULL, send_file_again), NULL);
}

/* ---- download ------------------------------------------------------------------- */

static void drop(struct bufferevent *bev, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(bev);
	size_t n = evbuffer_get_length(in);

	(void)arg;
	evbuffer_drain(in, n);
	count_bytes(n);
}

static void run_download(void)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

	bufferevent_write(open_one(drop, NULL), request, sizeof request - 1);
}

/* ---- pingpong32 ----------------------------------------------------------------- */

static void answer(struct bufferevent *bev, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(bev);

	(void)arg;
	if (evbuffer_get_length(in) < MESSAGE)
		return;
	evbuffer_remove(in, block, MESSAGE);
	if (++moved % ROUND_TRIPS == 0)
		measure_slice(&measure, ROUND_TRIPS);
	if (moved == (long)SLICES * ROUND_TRIPS)
		finish();
	bufferevent_write(bev, block, MESSAGE);
}

static void run_pingpong(void)
{
	for (int i = 0; i < CONNECTIONS; i++)
		bufferevent_write(open_one(answer, NULL), block, MESSAGE);
}

/* ---- idle ----------------------------------------------------------------------- */

static long idle_count;
static double idle_before;

static void open_next(struct bufferevent *bev, void *arg)
{
	(void)arg;
	if (bev) {
		struct evbuffer *in = bufferevent_get_input(bev);

		if (evbuffer_get_length(in) < MESSAGE)
			return;
		evbuffer_drain(in, MESSAGE);
		if (!moved++)
			idle_before = measure_resident();
	}
	if (moved == idle_count + 1) {
		printf("%.3f\n", (measure_resident() - idle_before) * 1024 /
					 (double)idle_count);
		exit(0);
	}
	bufferevent_write(open_one(open_next, NULL), block, MESSAGE);
}

static void run_idle(void)
{
	idle_count = tls ? 1000 : 10000;
	measure_many_files();
	open_next(NULL, NULL);
}

/* --------------------------------------------------------------------------------- */

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		bool tls;
		void (*run)(void);
	} gauges[] = {
		{ "send", false, run_send },
		{ "send_ref", false, run_send_ref },
		{ "send_file", false, run_send_file },
		{ "download", false, run_download },
		{ "download_tls", true, run_download },
		{ "pingpong32", false, run_pingpong },
		{ "idle", false, run_idle },
		{ "idle_tls", true, run_idle },
	};

	if (argc < 3)
		return 2;
	base = event_base_new();
	port = argv[2];
	file_name = argv[3];
	measure_begin(&measure);
	for (size_t i = 0; i < sizeof gauges / sizeof *gauges; i++) {
		if (strcmp(gauges[i].name, argv[1]))
			continue;
		tls = gauges[i].tls ? SSL_CTX_new(TLS_client_method()) : NULL;
		gauges[i].run();
		event_base_dispatch(base);
	}
	return 2;
}
