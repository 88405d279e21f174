/* Datagrams: UDP endpoints, and datagram sockets of other families that are handed in.
 *
 * A datagram arrives whole, or not at all, and nothing says which; datagrams may overtake
 * each other. Sending goes straight to the kernel and never gathers. Several tasks may
 * send and receive on one endpoint at once; those that wait are served in order.
 */
#ifndef ASYNCNET_UDP_H
#define ASYNCNET_UDP_H

#include <asyncnet/api.h>
#include <asyncnet/net.h>

AN_BEGIN_DECLS

/* An endpoint; opaque. It belongs to the loop of the thread that made it. */
typedef struct an_udp an_udp;

/* Of an_udp_open(). */
typedef struct an_udp_opts {
	/* Connects to it: an_udp_send() sends there, datagrams of others are not
	 * received, and the peer's refusals are told. NULL: to and from anybody. Borrowed
	 * for the call. */
	const an_address *peer;
	/* SO_REUSEADDR, which lets several sockets of this machine bind one address: each
	 * gets a multicast datagram, only one of them any other. */
	bool reuse_address;
	bool reuse_port; /* SO_REUSEPORT: the kernel spreads senders over the sockets */
	bool broadcast;	 /* sending to broadcast addresses is allowed */
	bool ipv6_only;
	int receive_buffer; /* SO_RCVBUF, bytes; 0: the system's default */
	int send_buffer;    /* SO_SNDBUF, bytes; 0: the system's default */
	/* Of multicast datagrams that are sent. */
	const char *multicast_interface; /* "eth0"; NULL: as the routes say */
	/* How far; 0: 1, which is the local network; negative: nowhere but here. */
	int multicast_hops;
	/* Do not deliver to receivers of this machine. On "lo" they get it anyhow. */
	bool no_multicast_loop;
} an_udp_opts;

/* Opens an endpoint and binds it. Host "" or NULL is any address, of IPv6 and IPv4 (of
 * the peer's family, if there is a peer); service "0" or NULL lets the kernel choose a
 * port. As in an_listen(), names are not asked for. Never suspends; needs the thread's
 * loop, not a task.
 * Returns 0 and an endpoint that the caller closes; -EADDRINUSE and the like;
 * -EAFNOSUPPORT when host and peer are of different families; -ENODEV for an interface
 * that is not there; AN_ERR_NAME; -EINVAL; -ENOMEM; AN_ERR_NO_TASK without a loop. */
AN_API int an_udp_open(const char *host, const char *service, const an_udp_opts *opts,
		       an_udp **ret);

/* Takes over a datagram socket of any family (socket activation, a socketpair), makes it
 * non-blocking and closes it in the end. On failure it is the caller's still. Never
 * suspends.
 * Returns 0; -EINVAL when it is not a datagram socket; -ENOTSOCK, -EBADF; -ENOMEM;
 * AN_ERR_NO_TASK. */
AN_API int an_udp_new(int fd, an_udp **ret);

/* Sends to the peer. Suspends only while the kernel has no room. A datagram that was
 * handed to the kernel is sent even if the task is cancelled in the same turn.
 * Returns 0: sent, which does not say that it arrives; -ECONNREFUSED when the peer has
 * refused an earlier one, and likewise for what else routers say (-EHOSTUNREACH): told
 * once, to whoever comes first, and this datagram was not sent; -EMSGSIZE for more than
 * fits into one (65,507 bytes on IPv4); -EDESTADDRREQ without a peer; -EACCES to a
 * broadcast address without opts.broadcast; -ECANCELED: not sent; AN_ERR_CLOSED when the
 * endpoint was closed meanwhile; -ENOMEM; other errors of the system. */
AN_API AN_SUSPENDS int an_udp_send(an_udp *u, const void *data, size_t len);

/* The same to any address. IPv4 addresses are taken on an endpoint of both families, too.
 * A UNIX socket whose queue is full is tried again after 1 to 64 ms: when there is room
 * the kernel tells only of one that the endpoint is connected to.
 * Returns as above; -EAFNOSUPPORT or -EINVAL for an address of another family. */
AN_API AN_SUSPENDS int an_udp_send_to(an_udp *u, const void *data, size_t len,
				      const an_address *to);

/* Waits for a datagram. Suspends. *ret_from (may be NULL) is who sent it; an IPv4 sender
 * is told as such on an endpoint of both families, too. A buffer of 64 KiB takes any
 * datagram. One that was received is returned even if the task is cancelled in the same
 * turn.
 * Returns its length, where 0 is an empty datagram and no end; -EMSGSIZE when it was
 * longer than `cap`: its rest is lost, the beginning is in `buf`, and the next call gives
 * the next datagram; -ECONNREFUSED and the like as in an_udp_send(); -ECANCELED: nothing
 * was received; AN_ERR_CLOSED when the endpoint was closed meanwhile; -ENOMEM. */
AN_API AN_SUSPENDS ssize_t an_udp_receive(an_udp *u, void *buf, size_t cap,
					  an_address *ret_from);

/* One of several datagrams. */
typedef struct an_datagram {
	void *data;	 /* the caller's memory, */
	size_t capacity; /* so many bytes of it */
	/* Filled in by the call: */
	size_t length; /* as it was sent; more than the capacity: its rest is lost */
	an_address from;
} an_datagram;

/* Waits for a datagram and takes what else is there already, `count` at most, and 32, by
 * one system call. Suspends. Otherwise as an_udp_receive(), but that one which is too
 * long for its memory says so by its length.
 * Returns how many, 1 or more, which have been filled in; 0 for a count of 0; errors as
 * above, with none received. */
AN_API AN_SUSPENDS ssize_t an_udp_receive_many(an_udp *u, an_datagram *list,
					       size_t count);

/* Receives from now on what is sent to a multicast group, "239.1.2.3" or "ff02::1234", on
 * an interface ("eth0"; NULL: as the routes say). Never suspends.
 * Returns 0; -EADDRINUSE when it has joined already; -EINVAL for what is not a multicast
 * address; -ENODEV for an interface that is not there; AN_ERR_NAME for what is not in
 * digits; other errors of the system. */
AN_API int an_udp_join(an_udp *u, const char *group, const char *interface);

/* Ends that; closing does so, too. Returns as above; -EADDRNOTAVAIL when it had not
 * joined. Never suspends. */
AN_API int an_udp_leave(an_udp *u, const char *group, const char *interface);

/* The near end, as an_stream_local_address(). Never suspends. */
AN_API int an_udp_local_address(const an_udp *u, char *buf, size_t cap);

/* The port that it is bound to, host order; 0 for other families. Never suspends. */
AN_API unsigned an_udp_port(const an_udp *u);

/* The descriptor, borrowed, for socket options. Never suspends. */
AN_API int an_udp_fd(const an_udp *u);

/* Closes; tasks parked in it get AN_ERR_CLOSED. Accepts NULL, never suspends, returns
 * NULL. */
AN_API an_udp *an_udp_close(an_udp *u);

AN_END_DECLS

#endif
