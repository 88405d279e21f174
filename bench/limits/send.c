/* The limit of io.send: send() of 256 KiB, 1 GiB in all. Usage: send PORT */
#include "bench/limits/connect.h"
#include "bench/measure.h"

#define TOTAL (1L << 30)
#define SLICE (32 << 20)

static char buffer[256 * 1024];

int main(int argc, char **argv)
{
	static struct measure measure;
	long in_slice = 0;
	int fd;

	if (argc < 2)
		return 2;
	fd = connect_to(argv[1]);
	measure_begin(&measure);
	for (long sent = 0; sent < TOTAL; sent += (long)sizeof buffer) {
		if (send(fd, buffer, sizeof buffer, MSG_NOSIGNAL) != sizeof buffer)
			return 1;
		in_slice += (long)sizeof buffer;
		if (in_slice >= SLICE) {
			measure_slice(&measure, (double)in_slice / 1024);
			in_slice = 0;
		}
	}
	close(fd);
	return measure_end(&measure);
}
