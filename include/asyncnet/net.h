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

/* Makes an address of digits or "localhost" (which is 127.0.0.1) and a service in digits,
 * "http" or "https", without asking anybody. Never suspends.
 * Returns 0; AN_ERR_NAME for what only a resolver could know; -EINVAL; -ENOMEM. */
AN_API int an_address_parse(const char *host, const char *service, an_address *ret);

/* Writes it as an_stream_peer_address() does, cut to `cap` bytes with the final zero.
 * Never suspends. Returns 0; -EAFNOSUPPORT for families other than IPv4, IPv6, UNIX. */
AN_API int an_address_format(const an_address *a, char *buf, size_t cap);

/* Its port, host order; 0 for families without ports. Never suspends. */
AN_API unsigned an_address_port(const an_address *a);

/* What a name stands for, in the order in which to try them. */
typedef struct an_addresses {
	size_t count;
/* C++ has no such arrays by itself. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
	an_address list[];
#pragma GCC diagnostic pop
} an_addresses;

/* Resolves a host and a service ("443", "https"). Addresses in digits are answered at
 * once, and so is "localhost"; names go to getaddrinfo on threads of their own, up to 16
 * in the process, with one query for all that ask the same, and a cache for the loop
 * (30 s; names that do not exist 10 s; 256 names). At most 64 queries of a loop are under
 * way, more wait in line. Suspends for as long as getaddrinfo takes, which resolv.conf(5)
 * limits; a cancelled call leaves a query that has begun behind, and the cache has its
 * answer. At most 64 addresses are returned, in the order of RFC 6724 and gai.conf(5).
 * *ret is the caller's, to be given to an_addresses_free().
 * Returns 0; AN_ERR_NAME; AN_ERR_NAME_AGAIN; -EINVAL for a name or port that cannot be;
 * -ENOMEM; -ECANCELED. */
AN_API AN_SUSPENDS int an_resolve(const char *host, const char *service,
				  an_addresses **ret);

/* Empties the cache of the thread's loop, as after a change of the network: names are
 * asked for again, and answers to questions that are under way reach those who wait for
 * them, but no one else. Without a loop nothing is done. Never suspends. */
AN_API void an_resolve_flush(void);

/* Frees them. Accepts NULL, returns NULL. Never suspends. */
AN_API an_addresses *an_addresses_free(an_addresses *a);

/* ---- connecting -------------------------------------------------------------------- */

/* Of an_connect() and an_connect_unix(). */
typedef struct an_connect_opts {
	an_tls *tls;	      /* start TLS with it; NULL: plain. Borrowed for the call */
	const char *tls_host; /* name to verify; NULL: `host` */
	an_duration timeout;  /* resolving and connecting, without TLS; 0: 10 s */
	/* Before the next address is tried beside; 0: 250 ms (RFC 8305). When resolving
	 * takes longer, the name is asked for by each family alone, too. */
	an_duration attempt_delay;
	const char *bind_host; /* local address, in digits; NULL: any */
	an_stream_opts stream;
	an_socket_opts socket; /* set before connecting */
	/* Where the reason for a failure goes, in words ("certificate has expired"), at
	 * most error_cap bytes with the final zero; NULL: nowhere. Left alone on
	 * success. */
	char *error;
	size_t error_cap;
	int family; /* AF_INET or AF_INET6: addresses of that one alone; 0: of both */
} an_connect_opts;

/* Connects to host and service over TCP, racing the addresses as RFC 8305 says:
 * families alternate, the next attempt starts when one has failed or after the delay,
 * the first to succeed is taken and the others are closed. Where the name server does not
 * answer for one family, the other's addresses are tried without it; should all of them
 * fail, the whole answer is waited for.
 * Suspends. On failure the code, and opts.error, are the first failed address's (one that
 * this machine has no route to counts only if all are so), or the resolver's, or that of
 * the TLS handshake.
 * Returns 0 and a stream that the caller closes; as an_resolve(),
 * an_stream_start_tls(); -ECONNREFUSED and the like; -EADDRNOTAVAIL when no address is of
 * bind_host's family, or that address is not this machine's; -EAFNOSUPPORT for another
 * family than those above; -EMFILE, -ENFILE; -ETIMEDOUT; -ECANCELED; AN_ERR_NO_TASK. */
AN_API AN_SUSPENDS int an_connect(const char *host, const char *service,
				  const an_connect_opts *opts, an_stream **ret);

/* Connects to a UNIX socket; a path that begins with '@' is in the abstract namespace.
 * Waits while the server's queue is full. Suspends. With opts.tls, opts.tls_host names
 * the peer; attempt_delay, bind_host and family mean nothing here.
 * Returns 0 and a stream that the caller closes; -ENOENT, -ECONNREFUSED and the like;
 * -EINVAL for an empty path, -ENAMETOOLONG above 107 bytes; -ETIMEDOUT; -ECANCELED;
 * AN_ERR_NO_TASK; as an_stream_start_tls(). */
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
	/* For the user's convenience; the listener keeps a reference. an_accept() runs no
	 * handshake by itself, see an_listener_tls(). */
	an_tls *tls;
	an_stream_opts stream;
	an_socket_opts socket; /* of what will be accepted */
} an_listen_opts;

/* Listens on an address; host "" or NULL is any address of IPv6 and IPv4 (of IPv6 alone
 * with ipv6_only); service "0" lets the kernel choose a port. Names are not asked for:
 * the host is digits or "localhost", which is 127.0.0.1 (::1 where there is no IPv4),
 * the service digits, "http" or "https". Never suspends; needs the thread's loop,
 * not a task.
 * Returns 0 and a listener that the caller closes; -EADDRINUSE, -EADDRNOTAVAIL, -EMFILE
 * and the like; AN_ERR_NAME; -EINVAL; -ENOMEM; AN_ERR_NO_TASK without a loop. */
AN_API int an_listen(const char *host, const char *service, const an_listen_opts *opts,
		     an_listener **ret);

/* Listens on a UNIX socket; '@' in front stands for the abstract namespace. A socket
 * file of that name to which nobody listens is removed first; the own one is at the
 * close, unless another has taken its name. Never suspends.
 * Returns as an_listen(); -EADDRINUSE when somebody listens, or the name is another
 * file's; -ENAMETOOLONG above 107 bytes. */
AN_API int an_listen_unix(const char *path, const an_listen_opts *opts,
			  an_listener **ret);

/* Takes over a listening descriptor (an_activated_fd()), makes it non-blocking and
 * closes it in the end. Of `opts` only tls, stream and socket mean anything. On failure
 * it is the caller's still. Never suspends.
 * Returns 0; -EINVAL when it does not listen; -ENOTSOCK, -EBADF; -ENOMEM;
 * AN_ERR_NO_TASK. */
AN_API int an_listen_fd(int fd, const an_listen_opts *opts, an_listener **ret);

/* Socket activation: a descriptor that the service manager has opened and handed to this
 * process by LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES, as systemd does for the sockets
 * of a unit (FileDescriptorName= is the name). `index` counts from 0 among those of that
 * name; NULL: among all. It is to be given, once, to an_listen_fd() or an_udp_new(); here
 * it is only made to close on exec. Never suspends; from any thread while none changes
 * the environment.
 * Returns the descriptor; -ENOENT when there is none, or they are another process's;
 * -EBADF when it is not open; -EINVAL when the variables are no numbers. */
AN_API int an_activated_fd(const char *name, size_t index);

/* Waits for a connection. Suspends. Out of descriptors (EMFILE, ENFILE, ENOBUFS,
 * ENOMEM), it waits 100 ms and tries again; connections that were aborted in the queue
 * are passed over. With opts.tls the caller starts TLS on the stream in the task that
 * serves it, not here: a stalled handshake must not hold up others. Several tasks may
 * wait and are served in order. A connection that was handed over is returned even if
 * the task is cancelled in the same turn.
 * Returns 0 and a stream; -ECANCELED; AN_ERR_CLOSED when the listener was closed while
 * the task was parked in it; -ENOMEM (that connection is lost); AN_ERR_NO_TASK. */
AN_API AN_SUSPENDS int an_accept(an_listener *l, an_stream **ret);

/* The context given in opts.tls, borrowed; NULL for none. */
AN_API an_tls *an_listener_tls(const an_listener *l);

/* "127.0.0.1:4711", as an_stream_local_address(). */
AN_API int an_listener_address(const an_listener *l, char *buf, size_t cap);

/* The port of a TCP listener, host order; 0 for others. */
AN_API unsigned an_listener_port(const an_listener *l);

/* Closes; a task parked in an_accept() gets AN_ERR_CLOSED, and an an_serve() stops.
 * Accepts NULL, returns NULL. */
AN_API an_listener *an_listener_close(an_listener *l);

/* ---- serving ----------------------------------------------------------------------- */

/* Serves one connection, in a task of its own. `stream` is borrowed, and must not be
 * closed or kept: when the handler has returned 0 or more, what it wrote is sent within
 * 10 s and the end is said; what the peer still sends is dropped until its own end, for
 * 2 s and 256 KiB at most, so that no reset takes the last answer from it; and then the
 * stream is closed. After a failure or a cancellation it is aborted, so that the peer
 * does not take a part for the whole. A failure ends this connection alone; it is
 * reported through trace.h, as AN_LOG_DEBUG when it is the peer's doing (a reset, an end
 * too early), else as AN_LOG_WARN. */
typedef int (*an_serve_handler)(void *arg, an_stream *stream);

/* Of an_serve(). */
typedef struct an_serve_opts {
	size_t max_connections; /* at a time; more wait in the kernel's queue; 0: 10000 */
	an_duration drain_timeout; /* for handlers that run at the stop; 0: 30 s */
	const char *name;	   /* of the tasks; NULL: "connection". Borrowed */
	size_t stack_size;	   /* of the tasks, bytes; 0: the loop's default */
} an_serve_opts;

/* Accepts connections in the calling task and has handler(arg, stream) run for each, with
 * TLS started on it before if the listener was given a context. Suspends. The listener is
 * the caller's still; to stop gracefully, another task (or a callback) closes it: no more
 * connections are taken, and handlers that run have the drain timeout to end, after which
 * they are cancelled. A cancellation of the caller cancels them at once. In any case no
 * handler runs any more when this returns.
 * Without memory for a connection that one is closed, and serving goes on.
 * Returns 0 after a stop; -ETIMEDOUT after one for which handlers had to be cancelled;
 * -ECANCELED; errors of an_accept(). */
AN_API AN_SUSPENDS int an_serve(an_listener *l, an_serve_handler handler, void *arg,
				const an_serve_opts *opts);

AN_END_DECLS

#endif
