/* What listening and connecting share. L3. */
#ifndef AN_LOOP_IO_SOCKET_H
#define AN_LOOP_IO_SOCKET_H

#include <asyncnet/net.h>

/* A non-blocking, close-on-exec stream socket. Returns the descriptor or -errno. */
int an__socket(int family);

/* Sets the options of a socket of that family, TCP_NODELAY among them. Returns 0;
 * -EINVAL; what setsockopt() says. */
int an__socket_set_up(int fd, int family, const an_socket_opts *opts);

/* The same for a socket of any kind. */
int an__socket_set_up_any(int fd, const an_socket_opts *opts);

/* Whether those that are accepted do not inherit them, and need an__socket_set_up(). */
bool an__socket_each(int fd, const an_socket_opts *opts);

/* The address of a UNIX socket; '@' in front stands for the abstract namespace.
 * Returns 0; -EINVAL for none; -ENAMETOOLONG above 107 bytes. */
int an__address_unix(const char *path, an_address *ret);

#endif
