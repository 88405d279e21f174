/* The end of a connection whose peer may still be sending. L3. */
#include "config.h"

#include <asyncnet/error.h>
#include <asyncnet/task.h>

#include "loop/io/stream.h"

#include <errno.h>

enum { LINGER_LIMIT = 256 * 1024, PIECE = 64 * 1024 };

#define LINGER_TIME (2 * AN_SECOND)

/* Returns the last read's result: 0 at the end. */
static ssize_t drop(an_stream *s)
{
	const char *data;
	size_t total = 0;
	ssize_t n = 1;

	while (n > 0 && total < LINGER_LIMIT) {
		n = an_stream_peek(s, &data);
		if (n > 0)
			an_stream_consume(s, (size_t)n);
		total += n > 0 ? (size_t)n : 0;
		n = an_stream_fill(s, PIECE);
	}
	return n;
}

int an__stream_linger(an_stream *s)
{
	an_timeout limit;
	int r;

	an_timeout_begin(&limit, LINGER_TIME);
	r = an_timeout_end(&limit, (int)drop(s));
	/* All else ends it just as well. */
	return r == -ECANCELED ? r : 0;
}
