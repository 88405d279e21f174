/* Where the batches of a logger go: a file, a descriptor, a function. Beside L3: blocking
 * I/O, no loop. */
#ifndef AN_LOG_SINK_H
#define AN_LOG_SINK_H

#include <asyncnet/log.h>

#include <stdatomic.h>

/* Bytes of one write: from about 64 KiB on, more of them make a line no cheaper. */
#define AN__LOG_BATCH_SIZE (64 * 1024)

/* Whole lines, of which those before `off` have been written. */
typedef struct an__log_batch {
	char *data;
	size_t len, off;
} an__log_batch;

/* What stands before each line of a batch for a function. */
typedef struct an__log_part {
	uint32_t level;
	uint32_t len;
} an__log_part;

typedef struct an__log_sink {
	void (*fn)(void *arg, an_log_level level, const char *line, size_t len);
	void *arg;
	char *path; /* absolute; NULL: not a file of ours */
	unsigned mode;
	int fd;
	uint64_t ino; /* which file that is */
	uint32_t dev_major, dev_minor;
	_Atomic bool reopen;
	uint64_t reopens, bytes, open_errors;
} an__log_sink;

/* Opens what the options name. Returns 0; -ENOMEM; the error of open(2) or getcwd(3). */
int an__log_sink_init(an__log_sink *s, const an_log_opts *opts);
void an__log_sink_done(an__log_sink *s);

/* Bytes that a line of `len` takes in a batch. */
static inline size_t an__log_sink_overhead(const an__log_sink *s)
{
	return s->fn ? sizeof(an__log_part) : 0;
}

/* Makes room at the end of the batch for a line of `len` bytes, and returns where it
 * goes. The caller made sure that it fits. */
char *an__log_sink_add(an__log_sink *s, an__log_batch *b, an_log_level level, size_t len);

/* Writes what the batch still holds; blocks. A file that was renamed or removed is opened
 * again first. Returns 0 when all has been written; else a negated errno, and `off` says
 * how far it came: the next call goes on there, so that no line is torn and none is
 * written twice. */
int an__log_sink_write(an__log_sink *s, an__log_batch *b);

#endif
