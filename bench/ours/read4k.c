/* io.read4k: an_file_read() of 4 KiB, from the start to the end of a cached file. Usage:
 * read4k FILE */
#include "bench/measure.h"

#include <asyncnet/asyncnet.h>

#define PASSES 40
#define PIECE 4096

static int pass(const char *name, struct measure *measure)
{
	static char buffer[PIECE];
	long count = 0;
	an_file *f;
	ssize_t n;
	int r = an_file_open(name, O_RDONLY, 0, &f);

	if (r < 0)
		return r;
	while ((n = an_file_read(f, buffer, sizeof buffer)) > 0)
		count++;
	measure_slice(measure, (double)count);
	an_file_close(f);
	return (int)n;
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
