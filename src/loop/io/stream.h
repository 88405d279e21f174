/* What the layers beside and above may know of a stream beyond the public header. L3. */
#ifndef AN_LOOP_IO_STREAM_H
#define AN_LOOP_IO_STREAM_H

#include <asyncnet/stream.h>

#include <stdbool.h>
#include <sys/socket.h>

/* As an_stream_new() for a descriptor that is known to be a non-blocking socket, as
 * those of accept4() and of a finished connect are: saves three system calls a
 * connection. */
int an__stream_new_socket(int fd, const an_stream_opts *opts, an_stream **ret);

/* Whether the last read may have left something unread below the stream: then only
 * an_stream_readable() knows whether the connection is silent. Costs no system call, and
 * never suspends. */
bool an__stream_may_have_more(an_stream *s);

/* After an_stream_shutdown(): reads and drops what the peer still sends until its end,
 * for 2 s and 256 KiB at most. To close before would reset the connection, and the peer
 * might lose what was said to it last (RFC 9112, 9.6). Suspends. Returns 0;
 * -ECANCELED. */
AN_SUSPENDS int an__stream_linger(an_stream *s);

/* Writes an address as an_stream_peer_address() does. Returns 0; -EAFNOSUPPORT. */
int an__address_format(const struct sockaddr_storage *address, socklen_t len, char *buf,
		       size_t cap);

#endif
