/* The limit of io.read4k: pread() of 4 KiB. Usage: read4k FILE */
#include "bench/measure.h"

#include <fcntl.h>

#define PASSES 40
#define PIECE 4096

static char buffer[PIECE];

int main(int argc, char **argv)
{
	static struct measure measure;

	if (argc < 2)
		return 2;
	measure_begin(&measure);
	for (int i = 0; i < PASSES; i++) {
		int fd = open(argv[1], O_RDONLY | O_CLOEXEC);
		long count = 0;

		while (pread(fd, buffer, sizeof buffer, (off_t)count * PIECE) > 0)
			count++;
		if (!count)
			return 1;
		measure_slice(&measure, (double)count);
		close(fd);
	}
	return measure_end(&measure);
}
