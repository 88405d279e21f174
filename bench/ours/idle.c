/* io.idle: bytes in RAM for a connected stream that has been used once. Usage: idle
 * plain|tls alone|task PORT; with a task, one is parked in a read of each stream. */
#include "bench/measure.h"

#include <asyncnet/asyncnet.h>
#include <string.h>

#define MESSAGE 100

static const char *port;
static an_tls *tls;
static bool with_task;

static int open_one(an_stream **ret)
{
	char message[MESSAGE] = "";
	an_stream *s;
	int r = an_connect("127.0.0.1", port, &(an_connect_opts){ .tls = tls }, &s);

	if (r == 0)
		r = an_stream_write(s, message, MESSAGE);
	if (r == 0)
		r = an_stream_read_exactly(s, message, MESSAGE);
	if (r == 0)
		*ret = s;
	return r;
}

static int read_for_ever(void *arg)
{
	char message[MESSAGE];

	return (int)an_stream_read(arg, message, MESSAGE);
}

static int open_many(int count)
{
	for (int i = 0; i < count; i++) {
		an_stream *s;
		int r = open_one(&s);

		if (r == 0 && with_task)
			r = an_spawn(read_for_ever, s, NULL, NULL);
		if (r < 0)
			return r;
	}
	return an_sleep(AN_MILLISECOND);
}

static int bench(void *arg)
{
	int count = *(int *)arg;
	double before;
	int r = open_many(1);

	if (r < 0)
		return r;
	before = measure_resident();
	r = open_many(count);
	if (r < 0)
		return r;
	printf("%.3f\n", (measure_resident() - before) * 1024 / count);
	fflush(stdout);
	_exit(0);
}

int main(int argc, char **argv)
{
	int count = 10000;

	if (argc < 4)
		return 2;
	with_task = strcmp(argv[2], "task") == 0;
	port = argv[3];
	measure_many_files();
	if (strcmp(argv[1], "tls") == 0) {
		count = 1000;
		if (an_tls_new(&(an_tls_opts){ .no_verify = true }, NULL, 0, &tls) < 0)
			return 1;
	}
	an_run(bench, &count, NULL);
	return 1;
}
