/* The limit of io.lines: getline(). Usage: lines FILE */
#include "bench/measure.h"

#define PASSES 400

static volatile size_t total;

int main(int argc, char **argv)
{
	static struct measure measure;
	char *line = NULL;
	size_t size = 0;

	if (argc < 2)
		return 2;
	measure_begin(&measure);
	for (int i = 0; i < PASSES; i++) {
		FILE *f = fopen(argv[1], "re");
		size_t count = 0, bytes = 0;
		ssize_t n;

		if (!f)
			return 1;
		while ((n = getline(&line, &size, f)) > 0) {
			count++;
			bytes += (size_t)n;
		}
		total = bytes;
		measure_slice(&measure, (double)count);
		fclose(f);
	}
	free(line);
	return measure_end(&measure);
}
