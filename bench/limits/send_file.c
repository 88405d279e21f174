/* The limit of io.send_file: sendfile() of 32 MiB, 32 times.
 * Usage: send_file PORT FILE */
#include "bench/limits/connect.h"
#include "bench/measure.h"

#include <fcntl.h>
#include <sys/sendfile.h>

#define TIMES 32
#define SIZE (32 << 20)

static int send_once(int socket, int file)
{
	off_t at = 0;

	while (at < SIZE)
		if (sendfile(socket, file, &at, (size_t)(SIZE - at)) <= 0)
			return -1;
	return 0;
}

int main(int argc, char **argv)
{
	static struct measure measure;
	int socket, file;

	if (argc < 3)
		return 2;
	socket = connect_to(argv[1]);
	file = open(argv[2], O_RDONLY);
	measure_begin(&measure);
	for (int i = 0; i < TIMES; i++) {
		if (send_once(socket, file) < 0)
			return 1;
		measure_slice(&measure, SIZE / 1024);
	}
	close(socket);
	return measure_end(&measure);
}
