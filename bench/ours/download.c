/* io.download: an_stream_read() of 256 KiB until the end; io.download_tls: over TLS.
 * Usage: download plain|tls PORT */
#include "bench/measure.h"

#include <asyncnet/asyncnet.h>
#include <string.h>

#define SLICE (32 << 20)

static char buffer[256 * 1024];
static an_tls *tls;

static int bench(void *arg)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
	static struct measure measure;
	long in_slice = 0;
	an_stream *s;
	ssize_t n;
	int r = an_connect("127.0.0.1", arg, &(an_connect_opts){ .tls = tls }, &s);

	if (r < 0)
		return r;
	r = an_stream_write(s, request, sizeof request - 1);
	if (r < 0)
		return r;
	measure_begin(&measure);
	while ((n = an_stream_read(s, buffer, sizeof buffer)) > 0) {
		in_slice += n;
		if (in_slice >= SLICE) {
			measure_slice(&measure, (double)in_slice / 1024);
			in_slice = 0;
		}
	}
	an_stream_close(s);
	return n < 0 ? (int)n : measure_end(&measure);
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	if (strcmp(argv[1], "tls") == 0 &&
	    an_tls_new(&(an_tls_opts){ .no_verify = true }, NULL, 0, &tls) < 0)
		return 1;
	return an_run(bench, argv[2], NULL) ? 1 : 0;
}
