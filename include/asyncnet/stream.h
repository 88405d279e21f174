/* Byte streams: one type over TCP, UNIX sockets, pipes, terminals and TLS.
 *
 * A stream belongs to one loop. One task may read while another writes; a second reader
 * while one is parked, and a second writer likewise, get -EBUSY: guard a shared stream
 * with a mutex.
 *
 * Reads are tried at once and park only when nothing is there. Small writes are
 * gathered and leave in one system call at the end of the loop's turn; large ones are
 * tried at once, straight from the caller's memory. What the kernel does not take is
 * kept by the stream, and a writer parks before more than the high-water mark would be
 * kept. A task that reads or writes without ever having to wait yields to the others
 * after each MiB.
 *
 * Errors of the write side stick to the write side, those of the read side to the read
 * side: an answer that the peer sent before it closed can still be read. A lost
 * connection (-ECONNRESET and the like) is told to both, never as an end.
 *
 * A terminal is a stream as well, one for each direction or one for both; that nobody has
 * the far end of a pseudo-terminal open any more (EIO at its master) is an end.
 *
 * SIGPIPE: the first stream of a process sets it to be ignored if it still has its
 * default action (what a program installed itself is left alone); a lost peer is -EPIPE
 * instead.
 */
#ifndef ASYNCNET_STREAM_H
#define ASYNCNET_STREAM_H

#include <asyncnet/api.h>
#include <asyncnet/file.h>
#include <asyncnet/time.h>
#include <sys/uio.h>

AN_BEGIN_DECLS

/* A byte stream; opaque. */
typedef struct an_stream an_stream;

/* How much a stream keeps. */
typedef struct an_stream_opts {
	/* Bytes before the separator in read_until and read_line; 0: 64 KiB, which is
	 * ample for a line or a header block and little to lose to a peer that sends no
	 * separator. */
	size_t read_limit;
	size_t write_high; /* bytes kept; a writer parks before more are; 0: 64 KiB */
	size_t write_low;  /* bytes at which it goes on; 0: write_high / 4 */
} an_stream_opts;

/* Makes a stream of a connected socket, pipe or terminal. On success `fd` is the
 * stream's, is made non-blocking, and is closed with it; on failure it is the caller's
 * still. Never suspends.
 * Returns 0; -ENOMEM; AN_ERR_NO_TASK outside a loop. */
AN_API int an_stream_new(int fd, const an_stream_opts *opts, an_stream **ret);

/* Closes at once: what was written and not yet sent is offered to the kernel once more,
 * then dropped (an_stream_shutdown() first to have it sent). On TLS a close_notify goes
 * with it. Tasks parked in the stream get AN_ERR_CLOSED. Accepts NULL, never suspends,
 * returns NULL. */
AN_API an_stream *an_stream_close(an_stream *s);

/* Closes with a reset where the transport has one (TCP): the peer sees ECONNRESET, not an
 * end. What was written and not yet sent is dropped. Otherwise as an_stream_close(). */
AN_API an_stream *an_stream_abort(an_stream *s);

/* ---- reading -------------------------------------------------------------------- */

/* Reads what is there, up to `cap` bytes, waiting for at least one. Suspends.
 * Returns the count; 0 at the end of the stream (or for cap 0); -ECANCELED (nothing was
 * read); -EBUSY; AN_ERR_TRUNCATED when a TLS peer went without close_notify;
 * AN_ERR_TLS; AN_ERR_CLOSED when the stream is closed meanwhile; -ECONNRESET and other
 * socket errors, after what came before them; -ENOMEM. */
AN_API AN_SUSPENDS ssize_t an_stream_read(an_stream *s, void *buf, size_t cap);

/* Reads exactly `len` bytes. On failure nothing is consumed: what there was stays
 * readable (and may lie in `buf` as well). Suspends.
 * Returns 0; AN_ERR_EOF when the stream ended before; -ECANCELED; as above. */
AN_API AN_SUSPENDS int an_stream_read_exactly(an_stream *s, void *buf, size_t len);

/* Reads all that is left, up to the end of the stream, into memory that the caller frees
 * with free(). A NUL follows the data, which *ret_len does not count. `limit`: bytes; 0:
 * 64 MiB, which is more than a program should take from a peer by accident. On failure
 * nothing is consumed. Suspends.
 * Returns 0; AN_ERR_LIMIT when more comes; -EINVAL for a limit beyond SSIZE_MAX / 2;
 * -ECANCELED; as an_stream_read(). */
AN_API AN_SUSPENDS int an_stream_read_all(an_stream *s, size_t limit, char **ret_data,
					  size_t *ret_len);

/* Reads up to and with the first `sep` (sep_len bytes, 1 to 1024) into the stream's own
 * buffer. Suspends. *ret_data and *ret_len give the bytes with the separator, borrowed
 * until the next call that reads, peeks or consumes. On failure what there was stays
 * unread.
 * Returns 0; AN_ERR_LIMIT when more than the read limit comes before the separator;
 * AN_ERR_EOF when the stream ended before it; -EINVAL for sep_len; -ECANCELED; as
 * above. */
AN_API AN_SUSPENDS int an_stream_read_until(an_stream *s, const void *sep, size_t sep_len,
					    const char **ret_data, size_t *ret_len);

/* The same for any of several separators (1 to 16, of 1 to 1024 bytes): up to and with
 * the one that ends first, of those that end there the shortest, however the bytes
 * arrive. *ret_which (may be NULL) is its index; of two that are equal either's.
 * Returns as above; -EINVAL for the count, too. */
AN_API AN_SUSPENDS int an_stream_read_until_any(an_stream *s, const struct iovec *seps,
						int count, const char **ret_data,
						size_t *ret_len, int *ret_which);

/* The same for "\n"; at the end of the stream the rest is returned as a line without
 * it, and an empty rest as AN_ERR_EOF. */
AN_API AN_SUSPENDS int an_stream_read_line(an_stream *s, const char **ret_data,
					   size_t *ret_len);

/* ---- for parsers: the stream's own buffer --------------------------------------- */

/* Reads more into the buffer, behind what lies there, waiting for at least one byte.
 * Suspends. At most `limit` bytes will lie there afterwards.
 * Returns the count read; 0 at the end; AN_ERR_LIMIT when `limit` bytes lie there
 * already; as an_stream_read(). */
AN_API AN_SUSPENDS ssize_t an_stream_fill(an_stream *s, size_t limit);

/* What lies in the buffer, in one piece, borrowed until the next call that reads from
 * or consumes of the stream. Never suspends.
 * Returns the length; *ret_data is NULL when that is 0; -ENOMEM. */
AN_API ssize_t an_stream_peek(an_stream *s, const char **ret_data);

/* Drops the first `len` bytes of the buffer (at most what is there). Never suspends. */
AN_API void an_stream_consume(an_stream *s, size_t len);

/* Puts bytes in front of what is still to be read, as if they had just arrived: for a
 * protocol that has read too far. They are copied, and may lie in what the stream has
 * lent. Never suspends.
 * Returns 0; -EBUSY while a task reads; AN_ERR_CLOSED when the stream is being closed;
 * -ENOMEM: nothing was put back, and what was lent is as it was. */
AN_API int an_stream_unread(an_stream *s, const void *data, size_t len);

/* Whether the end has been read and the buffer is empty. Never suspends. */
AN_API bool an_stream_at_eof(const an_stream *s);

/* ---- writing -------------------------------------------------------------------- */

/* Writes all of `data`, which has been copied or sent when the call returns: taken, not
 * yet received by the peer. Suspends while taking it would keep more than the
 * high-water mark; what is larger goes to the kernel from the caller's memory as the
 * peer reads. A write is taken whole or not at all: when a cancellation comes and a
 * part has been sent already, the rest is taken into the stream's memory, 0 is
 * returned, and the cancellation is seen at the next suspending call.
 * Returns 0; -ECANCELED (nothing was taken); -EBUSY; -EPIPE, -ECONNRESET and other
 * socket errors, which stick; AN_ERR_CLOSED after a shutdown or when the stream is
 * closed meanwhile; AN_ERR_TLS; -ENOMEM (sticks if a part was taken). */
AN_API AN_SUSPENDS int an_stream_write(an_stream *s, const void *data, size_t len);

/* The same of several pieces in their order. count: 0 to 64, else -EINVAL. */
AN_API AN_SUSPENDS int an_stream_writev(an_stream *s, const struct iovec *iov, int count);

/* Writes data that stays where it is: what the kernel does not take at once is not copied
 * but referred to. `data` must not change until release(arg) is called, which happens
 * once, whatever this returns: when the last byte has gone, when the stream failed or was
 * closed, or before the call returns. It is called from the loop or from within any call
 * on the stream, and must neither suspend nor use the stream. NULL: the data stays for
 * ever. In order with other writes, and gathered with them; what is shorter than 4 KiB is
 * copied and released at once, which costs less. On TLS, and on files, what is sent is
 * made from it before the call returns. Suspends while the kernel refuses and this would
 * exceed the high-water mark; data longer than the mark waits until nothing is kept.
 * Returns as an_stream_write(); -ENOMEM: nothing was taken. */
AN_API AN_SUSPENDS int an_stream_write_ref(an_stream *s, const void *data, size_t len,
					   void (*release)(void *arg), void *arg);

/* Sends `len` bytes of a file from `offset` on, SIZE_MAX: until its present end, behind
 * what was written before. On a plain socket or pipe the kernel does it from the page
 * cache (sendfile(2)); on TLS, and where that is refused, it goes through a buffer of 64
 * KiB. What is not in memory is read by a worker, so that the loop does not stop for a
 * disk. Suspends while the kernel refuses more, and lets others run after each MiB. The
 * file's own position is neither used nor moved; what its buffer gathers is not seen
 * before an an_file_flush(). The file must not change until the peer has it all: of what
 * is sent and not yet received the kernel has kept references alone. No other write gets
 * in between: they return -EBUSY, an_stream_write_nowait(), too.
 * Returns the count. Fewer than `len`: the file ended, or something failed or was
 * cancelled behind a part that was sent (or is kept by the stream, to be sent): the next
 * call tells. -ECANCELED: nothing was sent; -EINVAL for an offset below 0; -ESPIPE for
 * what has no positions; AN_ERR_CLOSED when the stream is closed meanwhile, whatever was
 * sent; -ENOMEM; as an_file_pread(), as an_stream_write(). */
AN_API AN_SUSPENDS ssize_t an_stream_send_file(an_stream *s, an_file *f, off_t offset,
					       size_t len);

/* The same without waiting and without a limit: for a few bytes that must not suspend,
 * such as a reply to a control frame. Never suspends. May be called while another task
 * is parked in a write: the bytes come before or behind that write, never within; so
 * what belongs together is written by one an_stream_writev().
 * Returns 0; errors as above but -ECANCELED; -EBUSY while a file is being sent;
 * AN_ERR_MISUSE during a TLS handshake. */
AN_API int an_stream_write_nowait(an_stream *s, const void *data, size_t len);

/* How many bytes are kept, not yet taken by the kernel (on TLS: as they travel). Never
 * suspends. */
AN_API size_t an_stream_pending(const an_stream *s);

/* Waits until the kernel has taken everything. Suspends. Returns 0; -ECANCELED; errors
 * as above. */
AN_API AN_SUSPENDS int an_stream_drain(an_stream *s);

/* Sends what is kept, then says that no more will come: FIN, or close_notify on TLS; a
 * pipe's reader sees the end at an_stream_close(). Reading goes on. Suspends until that
 * has been handed to the kernel. A second call finishes one that was cancelled.
 * Returns 0; -ECANCELED (no more can be written all the same); -ETIMEDOUT on TLS after
 * the shutdown_timeout of its context; errors as above. */
AN_API AN_SUSPENDS int an_stream_shutdown(an_stream *s);

/* ---- about the stream ----------------------------------------------------------- */

/* Whether something can be read without waiting, or the peer has closed: for an idle
 * connection, the sign that it is not to be used again. Never suspends. */
AN_API bool an_stream_readable(an_stream *s);

/* The descriptor, borrowed; not to be read from or written to. */
AN_API int an_stream_fd(const an_stream *s);

/* Addresses as "127.0.0.1:80", "[::1]:80", "unix:/path", "unix:@abstract", or "unix:"
 * for a socket without a name. Written to `buf`, cut to `cap` bytes with the final
 * zero.
 * Returns 0 or the system's error (-ENOTSOCK of a pipe). Never suspends. */
AN_API int an_stream_peer_address(const an_stream *s, char *buf, size_t cap);

/* The same for the near end. */
AN_API int an_stream_local_address(const an_stream *s, char *buf, size_t cap);

/* Options of a socket. 0 leaves each as it is, which is as the system has it. What is
 * TCP's or IP's is passed over on other sockets, so that one set does for TCP and UNIX.
 * Durations are rounded up to the system's units. */
typedef struct an_socket_opts {
	/* TCP: small segments wait until what was sent before is acknowledged (Nagle).
	 * Not so by default (TCP_NODELAY): streams gather what belongs together
	 * themselves. */
	bool delay;
	/* Bytes that the system keeps in either direction, before the stream's own.
	 * Unset, TCP adapts them to the connection; set, they bound the memory, and the
	 * speed over long ways. The system allows itself twice as much, and no more than
	 * its own limit (net.core.wmem_max, rmem_max), without a word. */
	int send_buffer, receive_buffer;
	/* TCP keepalive: a peer that vanished without a word is found out by asking
	 * after so long a silence, then each interval (0: 75 s), until so many questions
	 * (0: 9) have got no answer; then reads return -ETIMEDOUT. At most 32767 s, 127.
	 * 0: nobody asks. It keeps the entries of NATs on the way alive, too. */
	an_duration keepalive, keepalive_interval;
	int keepalive_count;
	/* TCP: what was sent and is not acknowledged for so long means that the
	 * connection is lost: -ETIMEDOUT; 0: after some 15 minutes. */
	an_duration user_timeout;
	/* IP: the class of service that routers see (RFC 2474), 1 to 63; 46 is for
	 * voice. */
	int dscp;
} an_socket_opts;

/* Sets them on a stream's socket; NULL is all-zero. Buffers are better set before the
 * connection is made (an_connect_opts, an_listen_opts). Never suspends.
 * Returns 0; -ENOTSOCK of a pipe; -EINVAL for what is below 0 or above its limit: those
 * before it have been set; AN_ERR_CLOSED when the stream is being closed. */
AN_API int an_stream_set_socket(an_stream *s, const an_socket_opts *opts);

/* The stream's first failure, which is the cause of later ones, in words ("certificate
 * has expired"), or "". Borrowed for as long as the stream lives; the text of a system
 * error until the next an_strerror() of this thread. Never NULL, never suspends. */
AN_API const char *an_stream_error_text(const an_stream *s);

AN_END_DECLS

#endif
