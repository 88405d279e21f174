/* What listening and connecting share. L3. */
#ifndef AN_LOOP_IO_SOCKET_H
#define AN_LOOP_IO_SOCKET_H

#include <asyncnet/net.h>

/* A non-blocking, close-on-exec stream socket. Returns the descriptor or -errno. */
int an__socket(int family);

/* The address of a UNIX socket; '@' in front stands for the abstract namespace.
 * Returns 0; -EINVAL for none; -ENAMETOOLONG above 107 bytes. */
int an__address_unix(const char *path, an_address *ret);

#endif
