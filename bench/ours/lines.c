/* io.lines: an_file_read_line() of each of the 10,000 lines of a cached file. Usage:
 * lines FILE */
#include "bench/measure.h"

#include <asyncnet/asyncnet.h>

#define PASSES 400

static volatile size_t total;

static int pass(const char *name, struct measure *measure)
{
	const char *line;
	size_t len, count = 0, bytes = 0;
	an_file *f;
	int r = an_file_open(name, O_RDONLY, 0, &f);

	if (r < 0)
		return r;
	while ((r = an_file_read_line(f, 0, &line, &len)) == 0) {
		count++;
		bytes += len;
	}
	total = bytes;
	measure_slice(measure, (double)count);
	an_file_close(f);
	return r == AN_ERR_EOF ? 0 : r;
}

static int bench(void *arg)
{
	static struct measure measure;

	measure_begin(&measure);
	for (int i = 0; i < PASSES; i++) {
		int r = pass(arg, &measure);

		if (r < 0)
			return r;
	}
	return measure_end(&measure);
}

int main(int argc, char **argv)
{
	return argc < 2 || an_run(bench, argv[1], NULL) ? 1 : 0;
}
