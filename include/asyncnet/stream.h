/* Byte streams: one type over TCP, UNIX sockets and TLS.
 *
 * A stream belongs to one loop. One task may read while another writes; two readers, or
 * two writers that could be parked, at once are a misuse (-EBUSY).
 *
 * Reads are tried at once and park only when nothing is there. Small writes are gathered
 * and leave in one system call at the end of the loop's turn; large ones are tried at
 * once. What the kernel does not take is kept by the stream, and a writer parks once more
 * than the high-water mark is kept.
 */
#ifndef ASYNCNET_STREAM_H
#define ASYNCNET_STREAM_H

#include <asyncnet/api.h>
#include <sys/uio.h>

AN_BEGIN_DECLS

/* A byte stream; opaque. */
typedef struct an_stream an_stream;

/* How much a stream keeps. */
typedef struct an_stream_opts {
	size_t read_limit; /* bytes kept by read_until and read_line; 0: 64 KiB */
	size_t write_high; /* bytes kept above which a writer parks; 0: 64 KiB */
	size_t write_low;  /* bytes at which it goes on; 0: write_high / 4 */
} an_stream_opts;

/* Makes a stream of a connected socket or pipe. On success `fd` is the stream's, is made
 * non-blocking, and is closed with it; on failure it is the caller's still. Never
 * suspends.
 * Returns 0; -ENOMEM; AN_ERR_NO_TASK outside a loop. */
AN_API int an_stream_new(int fd, const an_stream_opts *opts, an_stream **ret);

/* Closes at once: what was written and not yet sent is offered to the kernel once more,
 * then dropped (an_stream_shutdown() first to have it sent). A task parked in the stream
 * is woken with AN_ERR_CLOSED. Accepts NULL, never suspends, returns NULL. */
AN_API an_stream *an_stream_close(an_stream *s);

/* Closes with a reset where the transport has one: the peer sees ECONNRESET, not an
 * end. */
AN_API an_stream *an_stream_abort(an_stream *s);

/* ---- reading ----------------------------------------------------------------------- */

/* Reads what is there, up to `cap` bytes, waiting for at least one. Suspends.
 * Returns the count; 0 at the end of the stream (or for cap 0); -ECANCELED;
 * AN_ERR_TRUNCATED when a TLS peer went without close_notify; AN_ERR_CLOSED; -ECONNRESET
 * and other socket errors. */
AN_API AN_SUSPENDS ssize_t an_stream_read(an_stream *s, void *buf, size_t cap);

/* Reads exactly `len` bytes. Returns 0; AN_ERR_EOF when the stream ended before (what
 * there was stays readable with an_stream_read); -ECANCELED (nothing consumed); as
 * above. */
AN_API AN_SUSPENDS int an_stream_read_exactly(an_stream *s, void *buf, size_t len);

/* Reads up to and with the first `sep` (sep_len bytes, at least 1) into the stream's own
 * buffer.
 * *ret_data and *ret_len give the bytes with the separator, borrowed until the next call
 * that reads from the stream. Returns 0; AN_ERR_LIMIT when no separator came within the
 * read limit (the data stays unread); AN_ERR_EOF when the stream ended before (likewise);
 * -ECANCELED; as above. */
AN_API AN_SUSPENDS int an_stream_read_until(an_stream *s, const void *sep, size_t sep_len,
					    const char **ret_data, size_t *ret_len);

/* The same for "\n"; at the end of the stream the rest is returned as a line without it,
 * and an empty rest as AN_ERR_EOF. */
AN_API AN_SUSPENDS int an_stream_read_line(an_stream *s, const char **ret_data,
					   size_t *ret_len);

/* ---- for parsers: the stream's own buffer ------------------------------------------ */

/* Reads more into the buffer, waiting for at least one byte. Returns the count read; 0 at
 * the end; AN_ERR_LIMIT when `limit` bytes lie there already; as an_stream_read(). */
AN_API AN_SUSPENDS ssize_t an_stream_fill(an_stream *s, size_t limit);

/* What lies in the buffer, in one piece, borrowed until the next call that reads from or
 * consumes of the stream. Returns the length; *ret_data is NULL when that is 0; -ENOMEM.
 * Never suspends. */
AN_API ssize_t an_stream_peek(an_stream *s, const char **ret_data);

/* Drops the first `len` bytes of the buffer (at most what is there). Never suspends. */
AN_API void an_stream_consume(an_stream *s, size_t len);

/* Whether the end has been read and the buffer is empty. */
AN_API bool an_stream_at_eof(const an_stream *s);

/* ---- writing ----------------------------------------------------------------------- */

/* Writes all of `data`, which is copied or sent before the call returns. Suspends only
 * above the high-water mark, until the low one is reached.
 * Returns 0: taken, not yet received by the peer; -ECANCELED: refused before anything was
 * taken, or, of a cancellation in mid-wait, not reported (the data was taken); -EPIPE,
 * -ECONNRESET and other socket errors, which stick; AN_ERR_CLOSED after a shutdown. */
AN_API AN_SUSPENDS int an_stream_write(an_stream *s, const void *data, size_t len);

/* The same of several pieces. count: at most 64. */
AN_API AN_SUSPENDS int an_stream_writev(an_stream *s, const struct iovec *iov, int count);

/* The same without waiting and without a limit: for a few bytes that must not suspend,
 * such as a reply to a control frame. Returns as above, -ENOMEM. Never suspends. */
AN_API int an_stream_write_nowait(an_stream *s, const void *data, size_t len);

/* How many bytes are kept, not yet taken by the kernel. */
AN_API size_t an_stream_pending(const an_stream *s);

/* Waits until the kernel has taken everything. Returns 0; -ECANCELED; errors as above. */
AN_API AN_SUSPENDS int an_stream_drain(an_stream *s);

/* Sends what is kept, then says that no more will come: FIN, or close_notify on TLS.
 * Reading goes on. Suspends until that has been handed to the kernel. Returns 0;
 * -ECANCELED; errors as above. */
AN_API AN_SUSPENDS int an_stream_shutdown(an_stream *s);

/* ---- about the stream -------------------------------------------------------------- */

/* Whether something can be read without waiting, or the peer has closed: for an idle
 * connection, the sign that it is not to be used again. Never suspends. */
AN_API bool an_stream_readable(an_stream *s);

/* The descriptor, borrowed; not to be read from or written to. */
AN_API int an_stream_fd(const an_stream *s);

/* Addresses as "127.0.0.1:80", "[::1]:80" or "unix:/path". Written to `buf`, cut to
 * `cap`.
 * Returns 0 or the system's error. Never suspends. */
AN_API int an_stream_peer_address(const an_stream *s, char *buf, size_t cap);

/* The same for the near end. */
AN_API int an_stream_local_address(const an_stream *s, char *buf, size_t cap);

/* The last failure in words ("certificate has expired"), or "". Borrowed until the next
 * failure. */
AN_API const char *an_stream_error_text(const an_stream *s);

AN_END_DECLS

#endif
