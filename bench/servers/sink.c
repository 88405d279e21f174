/* A server for benchmarks of sending: reads one connection at a time to its end.
 *
 * Usage: sink; prints its port on 127.0.0.1 and serves until killed.
 */
#include "bench/servers/listen.h"

static char block[256 * 1024];

int main(void)
{
	int listener = listen_and_tell();

	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			return 1;
		while (recv(fd, block, sizeof block, 0) > 0)
			;
		close(fd);
	}
}
