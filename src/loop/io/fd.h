/* Whether a descriptor is one that the loop can wait for. L3. */
#ifndef AN_LOOP_IO_FD_H
#define AN_LOOP_IO_FD_H

/* Asks epoll, without a trace. Returns 0; -EPERM for what has no readiness, such as a
 * regular file or /dev/null; -EBADF; -EMFILE, -ENFILE; -ENOMEM. */
int an__fd_try(int fd);

#endif
