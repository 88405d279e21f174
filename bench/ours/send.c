/* io.send: an_stream_write() of 256 KiB, 1 GiB in all; io.send_ref: the same by
 * an_stream_write_ref(). Usage: send copy|ref PORT */
#include "bench/measure.h"

#include <asyncnet/asyncnet.h>
#include <string.h>

#define TOTAL (1L << 30)
#define SLICE (32 << 20)

static char buffer[256 * 1024];
static bool by_reference;

static int send_all(an_stream *s, struct measure *measure)
{
	long in_slice = 0;

	for (long sent = 0; sent < TOTAL; sent += (long)sizeof buffer) {
		int r = by_reference ? an_stream_write_ref(s, buffer, sizeof buffer, NULL,
							   NULL)
				     : an_stream_write(s, buffer, sizeof buffer);

		if (r < 0)
			return r;
		in_slice += (long)sizeof buffer;
		if (in_slice >= SLICE) {
			measure_slice(measure, (double)in_slice / 1024);
			in_slice = 0;
		}
	}
	return an_stream_shutdown(s);
}

static int bench(void *arg)
{
	static struct measure measure;
	an_stream *s;
	int r = an_connect("127.0.0.1", arg, NULL, &s);

	if (r < 0)
		return r;
	measure_begin(&measure);
	r = send_all(s, &measure);
	an_stream_close(s);
	return r < 0 ? r : measure_end(&measure);
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	by_reference = strcmp(argv[1], "ref") == 0;
	return an_run(bench, argv[2], NULL) ? 1 : 0;
}
