/* io.send_file: an_stream_send_file() of 32 MiB, 32 times. Usage: send_file PORT FILE */
#include "bench/measure.h"

#include <asyncnet/asyncnet.h>
#include <fcntl.h>

#define TIMES 32
#define SIZE (32 << 20)

static char **arguments;
static struct measure measure;

static int send_all(an_stream *s, an_file *f)
{
	measure_begin(&measure);
	for (int i = 0; i < TIMES; i++) {
		ssize_t n = an_stream_send_file(s, f, 0, SIZE);

		if (n != SIZE)
			return n < 0 ? (int)n : AN_ERR_TRUNCATED;
		measure_slice(&measure, SIZE / 1024);
	}
	return an_stream_shutdown(s);
}

static int bench(void *arg)
{
	an_stream *s;
	an_file *f;
	int r = an_connect("127.0.0.1", arguments[1], NULL, &s);

	(void)arg;
	if (r == 0)
		r = an_file_open(arguments[2], O_RDONLY, 0, &f);
	if (r == 0)
		r = send_all(s, f);
	return r < 0 ? r : measure_end(&measure);
}

int main(int argc, char **argv)
{
	arguments = argv;
	return argc < 3 || an_run(bench, NULL, NULL) ? 1 : 0;
}
