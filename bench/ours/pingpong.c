/* io.pingpong32: 32 tasks, each with a stream on which it writes 100 bytes and reads them
 * back. Usage: pingpong PORT */
#include "bench/measure.h"

#include <asyncnet/asyncnet.h>

#define STREAMS 32
#define MESSAGE 100
#define SLICES 30
#define ROUND_TRIPS 2000

struct bench {
	const char *port;
	int done, total;
	struct measure measure;
};

static int round_trip(an_stream *s)
{
	char message[MESSAGE] = "";
	int r = an_stream_write(s, message, MESSAGE);

	return r < 0 ? r : an_stream_read_exactly(s, message, MESSAGE);
}

static int round_trips(struct bench *b, an_stream *s)
{
	while (b->total < SLICES * ROUND_TRIPS) {
		int r = round_trip(s);

		if (r < 0)
			return r;
		b->total++;
		if (++b->done == ROUND_TRIPS) {
			measure_slice(&b->measure, ROUND_TRIPS);
			b->done = 0;
		}
	}
	return 0;
}

static int connected(void *arg)
{
	struct bench *b = arg;
	an_stream *s;
	int r = an_connect("127.0.0.1", b->port, NULL, &s);

	if (r < 0)
		return r;
	r = round_trips(b, s);
	an_stream_close(s);
	return r;
}

static int bench(void *arg)
{
	static struct bench b;
	an_group group;
	int r;

	b.port = arg;
	measure_begin(&b.measure);
	an_group_begin(&group);
	for (int i = 0; i < STREAMS; i++)
		an_group_spawn(&group, connected, &b);
	r = an_group_end(&group);
	return r < 0 ? r : measure_end(&b.measure);
}

int main(int argc, char **argv)
{
	return argc < 2 || an_run(bench, argv[1], NULL) ? 1 : 0;
}
