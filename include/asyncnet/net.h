/* Names, connections, listeners. */
#ifndef ASYNCNET_NET_H
#define ASYNCNET_NET_H

#include <asyncnet/api.h>
#include <asyncnet/stream.h>
#include <asyncnet/time.h>
#include <asyncnet/tls.h>
#include <sys/socket.h>

AN_BEGIN_DECLS

/* ---- names ------------------------------------------------------------------------- */

/* A socket address of any family. */
typedef struct an_address {
	struct sockaddr_storage storage;
	socklen_t length;
} an_address;

/* What a name stands for, in the order in which to try them. */
typedef struct an_addresses {
	size_t count;
	an_address list[];
} an_addresses;

/* Resolves a host and a service ("443", "https"). Addresses in digits are answered at
 * once, and so is "localhost"; names go to a pool of four getaddrinfo threads of their
 * own, with one query for all that ask the same, and a cache for the loop (30 s; names
 * that do not exist 10 s; 256 names). At most 64 queries of a loop are under way, more
 * wait in line. Suspends; a cancelled call leaves its query behind. At most 64
 * addresses are returned. *ret is the caller's, to be given to an_addresses_free().
 * Returns 0; AN_ERR_NAME; AN_ERR_NAME_AGAIN; -EINVAL for a name or port that cannot be;
 * -ENOMEM; -ECANCELED. */
AN_API AN_SUSPENDS int an_resolve(const char *host, const char *service,
				  an_addresses **ret);

/* Frees them. Accepts NULL, returns NULL. Never suspends. */
AN_API an_addresses *an_addresses_free(an_addresses *a);

/* ---- connecting -------------------------------------------------------------------- */

/* Of an_connect() and an_connect_unix(). */
typedef struct an_connect_opts {
	an_tls *tls;	      /* start TLS with it; NULL: plain. Borrowed for the call */
	const char *tls_host; /* name to verify; NULL: `host` */
	an_duration timeout;  /* resolving and connecting, without TLS; 0: 10 s */
	/* Before the next address is tried beside; 0: 250 ms (RFC 8305). */
	an_duration attempt_delay;
	const char *bind_host; /* local address; NULL: any */
	an_stream_opts stream;
} an_connect_opts;

/* Connects to host and service over TCP, racing the addresses as RFC 8305 says (no
 * delay of small writes, TCP_NODELAY). Suspends. `error_text` of no stream exists on
 * failure: the code is the first address's, or the resolver's.
 * Returns 0 and a stream that the caller closes; as an_resolve(),
 * an_stream_start_tls(); -ECONNREFUSED and the like; -ETIMEDOUT; -ECANCELED. */
AN_API AN_SUSPENDS int an_connect(const char *host, const char *service,
				  const an_connect_opts *opts, an_stream **ret);

/* Connects to a UNIX socket; a path that begins with '@' is in the abstract namespace. */
AN_API AN_SUSPENDS int an_connect_unix(const char *path, const an_connect_opts *opts,
				       an_stream **ret);

/* ---- listening --------------------------------------------------------------------- */

/* A socket that listens. It belongs to the loop of the thread that made it. */
typedef struct an_listener an_listener;

/* Of an_listen(), an_listen_unix() and an_listen_fd(). */
typedef struct an_listen_opts {
	int backlog;	 /* 0: 1024 */
	bool reuse_port; /* SO_REUSEPORT; SO_REUSEADDR is always set */
	bool ipv6_only;
	mode_t unix_mode; /* permissions of a UNIX socket; 0: as the umask says */
	/* For the user's convenience: an_accept() runs no handshake by itself, see
	 * an_listener_tls(). */
	an_tls *tls;
	an_stream_opts stream;
} an_listen_opts;

/* Listens on an address; host "" or NULL is any address; service "0" lets the kernel
 * choose a port. A name is resolved with the numeric rules alone plus "localhost".
 * Never suspends.
 * Returns 0 and a listener that the caller closes; -EADDRINUSE and the like;
 * AN_ERR_NAME; -ENOMEM. */
AN_API int an_listen(const char *host, const char *service, const an_listen_opts *opts,
		     an_listener **ret);

/* Listens on a UNIX socket, removing a stale socket of that name first; unlinked at
 * close. */
AN_API int an_listen_unix(const char *path, const an_listen_opts *opts,
			  an_listener **ret);

/* Takes over a listening descriptor (socket activation). On failure it is the caller's
 * still. */
AN_API int an_listen_fd(int fd, const an_listen_opts *opts, an_listener **ret);

/* Waits for a connection. Suspends. Out of descriptors (EMFILE, ENFILE, ENOBUFS,
 * ENOMEM), it waits 100 ms and tries again; connections that were aborted in the queue
 * are passed over. With opts.tls the caller starts TLS on the stream in the task that
 * serves it, not here: a stalled handshake must not hold up others.
 * Returns 0 and a stream; -ECANCELED; AN_ERR_CLOSED when the listener was closed. */
AN_API AN_SUSPENDS int an_accept(an_listener *l, an_stream **ret);

/* The context given in opts.tls, borrowed; NULL for none. */
AN_API an_tls *an_listener_tls(const an_listener *l);

/* "127.0.0.1:4711", as an_stream_local_address(). */
AN_API int an_listener_address(const an_listener *l, char *buf, size_t cap);

/* The port of a TCP listener, host order; 0 for others. */
AN_API unsigned an_listener_port(const an_listener *l);

/* Closes; a task parked in an_accept() gets AN_ERR_CLOSED. Accepts NULL, returns NULL. */
AN_API an_listener *an_listener_close(an_listener *l);

AN_END_DECLS

#endif
