/* The stream's struct and its transports, for the files stream*.c and tls*.c alone. L3.
 *
 * A stream is a bufferevent with a fast path. The bufferevent's input is the read
 * buffer and its output holds what was gathered in this turn or what the kernel
 * refused. Its EV_READ is never enabled (libevent's own read path takes 4 KiB at a
 * time); its EV_WRITE is enabled only while the kernel refuses, and then the
 * bufferevent drains the output by itself.
 */
#ifndef AN_LOOP_IO_STREAM_PRIVATE_H
#define AN_LOOP_IO_STREAM_PRIVATE_H

#include "loop/core/loop.h"
#include "loop/core/wait.h"

#include <asyncnet/error.h>
#include <asyncnet/stream.h>
#include <asyncnet/tls.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/uio.h>

struct bufferevent;

enum {
	AN__WRITE_PIECES = 64, /* in one an_stream_writev() */

	/* What is gathered before it is sent in mid-turn: enough to make the cost of the
	 * system call small, and no more than the caches like. */
	AN__WRITE_GATHER = 64 * 1024,

	/* From here on the copy costs more than the system call it would save. */
	AN__WRITE_DIRECT = 16 * 1024,

	/* From here on the copy costs more than a reference and its release. Measured,
	 * these two cost as much as the copy of 1 KiB; but a reference may be held for
	 * long, and each is a piece of its own in the system call. */
	AN__WRITE_REFER = 4 * 1024,

	/* A task that has moved this much without having waited lets the others run. */
	AN__STREAM_BURST = 1024 * 1024,
};

/* A write under way. The pieces are the caller's, who is in the call or parked in it. */
typedef struct an__write {
	const struct iovec *iov; /* the first piece that is not done */
	size_t offset;		 /* done of that piece */
	size_t left, total;	 /* bytes, of all pieces */
} an__write;

/* Plain or TLS. None of these suspends. */
typedef struct an__transport {
	/* One attempt. Returns the count; 0 at the end; -EAGAIN; an error, which then
	 * sticks. Sets s->drained when the kernel has no more. */
	ssize_t (*read)(an_stream *s, void *buf, size_t cap);

	/* Whether a read may give something without the descriptor being readable. */
	bool (*buffered)(const an_stream *s);

	/* Whether there is something to read or the end has come, for an idle stream. */
	bool (*readable)(an_stream *s);

	/* Moves at most `max` bytes of *w to the output. Returns 0; -ENOMEM; AN_ERR_TLS;
	 * AN_ERR_MISUSE during a handshake. */
	int (*take)(an_stream *s, an__write *w, size_t max);

	/* Whether the caller's bytes may go to the kernel as they are. */
	bool direct;

	/* Instead of an offer to the kernel, where the descriptor knows no readiness:
	 * begins to write the output, all of it, and sets the state. Only with `direct`
	 * false. Returns 0 or an error. NULL: the kernel is asked. */
	int (*offer)(an_stream *s);

	/* Appends the sign of the end to the output, if the transport has one. */
	void (*finish)(an_stream *s);

	void (*free)(an_stream *s);
} an__transport;

/* The write side. `shut` is apart from it: it refuses new data in any of these.
 *
 * 	READY   --the kernel refused----> BLOCKED   the bufferevent has EV_WRITE enabled
 * 	BLOCKED --the output is empty---> READY
 * 	READY, BLOCKED --an error-------> FAILED    for ever; the output has been dropped
 */
enum an__write_state { AN__WRITE_READY, AN__WRITE_BLOCKED, AN__WRITE_FAILED };

struct an_stream {
	const an__transport *transport;
	struct an__tls_stream *tls; /* NULL on a plain stream */
	an_loop *loop;
	struct bufferevent *bev;
	struct evbuffer *in, *out; /* the bufferevent's */
	int fd;
	bool socket;   /* else a pipe: read() and write() */
	bool closed;   /* the rest is gone but the struct, kept for the tasks in calls */
	unsigned refs; /* tasks that are in a call */

	/* reading */
	struct event readable; /* stays armed while anyone reads */
	an__waiters readers;   /* at most one; woken by `readable` and by close */
	size_t lent; /* bytes at the front of `in` that the caller has seen as a line */
	size_t read_size;  /* the next fill's, adapted */
	size_t read_burst; /* bytes since the reader last waited */
	size_t read_limit;
	int read_end; /* 1: open; else what reads return when `in` is used up */
	bool armed, reading;
	bool drained; /* the last read emptied the kernel's buffer: do not try, wait */

	/* writing */
	enum an__write_state write_state;
	int write_error;
	an__waiters writers; /* at most one; woken at the low mark, by errors and close */
	an__write *parked;   /* that writer's, when it is parked with something left */
	an__turn_hook flush;
	size_t write_high, write_low;
	size_t write_burst;
	bool writing, shut, finished; /* finished: the end has been sent */
	bool referring;	   /* the output ends with what is not its own memory */
	bool sending_file; /* nothing else may get in between */
	bool in_handshake; /* whoever waits to read is to hear of a failed write */

	an_duration shutdown_limit; /* of an_stream_shutdown(); 0: none */

	int error;	  /* the first failure, the cause of the others */
	char *error_text; /* NULL: that of the code */
};

extern const an__transport an__transport_plain;

/* Held over everything that may suspend, so that a close by another task leaves the
 * struct. */
static inline void an__stream_enter(an_stream *s)
{
	s->refs++;
}
void an__stream_leave(an_stream *s);

/* Notes the first failure for an_stream_error_text(). `text` is copied; NULL: that of the
 * code. */
void an__stream_note_error(an_stream *s, int error, const char *text);

/* The buffers' life ends in close, which the bufferevent's callbacks do not outlive. */
void an__stream_on_written(struct bufferevent *bev, void *arg);
void an__stream_on_event(struct bufferevent *bev, short what, void *arg);
void an__stream_on_readable(evutil_socket_t fd, short what, void *arg);
void an__stream_on_turn_end(an__turn_hook *hook);

/* ---- reading: stream-read.c ----------------------------------------------------- */

/* Parks until the descriptor is readable. Suspends. Returns 0; -ECANCELED;
 * AN_ERR_CLOSED; -ENOMEM. */
int an__stream_wait_readable(an_stream *s);

/* ---- files: stream-file.c ------------------------------------------------------- */

/* A stream over what knows no readiness, such as a regular file: worker threads read and
 * write it. On success `fd` is the stream's, on failure the caller's still. Returns 0;
 * -ENOMEM; -EMFILE, -ENFILE; AN_ERR_NO_TASK. */
int an__stream_new_file(int fd, const an_stream_opts *opts, an_stream **ret);

/* ---- writing: stream-write.c ---------------------------------------------------- */

/* Sends at the end of the turn what is in the output. */
void an__stream_flush_later(an_stream *s);

/* Around every writing call that may park: not cancelled, alone, and now and then behind
 * the others. Between the two a close leaves the struct. `end` passes the result through.
 * They suspend, and begin returns 0; -ECANCELED; -EBUSY; AN_ERR_CLOSED; the error that
 * sticks. */
int an__stream_write_begin(an_stream *s);
int an__stream_write_end(an_stream *s, int r);

/* Between these. Whether there still is something to write to, after a wait: 0;
 * AN_ERR_CLOSED; the error that sticks. */
int an__stream_write_check(const an_stream *s);

/* Writes all of *w, or nothing, as an_stream_write() does; to be called between begin and
 * end. Suspends. */
int an__stream_write_all(an_stream *s, an__write *w);

/* Until the output is empty. Between begin and end. Suspends. */
int an__stream_write_out(an_stream *s);

/* Offers the output and then *w (NULL: none) to the kernel. What it refuses is left to
 * the bufferevent, so that on 0 either all has gone or the stream is blocked. Returns 0
 * or the error, which sticks. Never suspends. */
int an__stream_offer(an_stream *s, an__write *w);

/* Ends the write side: drops the output, wakes the writer. */
void an__stream_write_failed(an_stream *s, int error);

/* Appends a copy to the output. Returns 0; -ENOMEM. */
int an__stream_append(an_stream *s, const void *data, size_t len);

/* Drops the first n bytes of the output. */
void an__stream_output_drain(an_stream *s, size_t n);

/* The piece at hand, and n bytes of it done. */
static inline struct iovec an__write_piece(const an__write *w)
{
	return (struct iovec){ (char *)w->iov->iov_base + w->offset,
			       w->iov->iov_len - w->offset };
}
void an__write_advance(an__write *w, size_t n);

#endif
