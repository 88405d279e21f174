/* The limit of io.download: recv() of 256 KiB until the end. Usage: download PORT */
#include "bench/limits/connect.h"
#include "bench/measure.h"

#define SLICE (32 << 20)

static char buffer[256 * 1024];

int main(int argc, char **argv)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
	static struct measure measure;
	long in_slice = 0;
	ssize_t n;
	int fd;

	if (argc < 2)
		return 2;
	fd = connect_to(argv[1]);
	if (send(fd, request, sizeof request - 1, 0) < 0)
		return 1;
	measure_begin(&measure);
	while ((n = recv(fd, buffer, sizeof buffer, 0)) > 0) {
		in_slice += n;
		if (in_slice >= SLICE) {
			measure_slice(&measure, (double)in_slice / 1024);
			in_slice = 0;
		}
	}
	close(fd);
	return measure_end(&measure);
}
