/* System calls on one descriptor that fail when a test says so, or do less than asked.
 *
 * The definitions here take the place of libc's in the program that includes them, for
 * the library and for libevent in it; so one file of a program may include this. Calls
 * on other descriptors pass.
 */
#ifndef TESTS_SUPPORT_FAULTS_H
#define TESTS_SUPPORT_FAULTS_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* libevent is to find it, too. */
#define FAULT_TAKES_PLACE __attribute__((visibility("default")))

enum { FAULT_SHORT = -1 }; /* one byte; else a code of errno */

static struct {
	int fd;	      /* -1: none */
	unsigned nth; /* call from now on; 0: none */
	int what;
	unsigned calls, sendfiles; /* seen on fd */
	unsigned cold; /* of the sendfiles: what the page cache did not have */
	bool hit;
} faults = { .fd = -1 };

/* The `nth` call on `fd` does `what`. 0: the calls are only counted. */
static inline void fault_arm(int fd, unsigned nth, int what)
{
	faults.fd = fd;
	faults.nth = nth;
	faults.what = what;
	faults.calls = faults.sendfiles = faults.cold = 0;
	faults.hit = false;
}

/* Returns whether it has come to that. */
static inline bool fault_disarm(void)
{
	faults.fd = -1;
	return faults.hit;
}

/* Returns 0: as asked; FAULT_SHORT; an error. */
static int fault_now(int fd)
{
	if (fd != faults.fd || ++faults.calls != faults.nth)
		return 0;
	faults.hit = true;
	return faults.what;
}

static ssize_t fault_error(int error)
{
	errno = error;
	return -1;
}

static struct iovec fault_first_byte(const struct iovec *iov, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (iov[i].iov_len)
			return (struct iovec){ iov[i].iov_base, 1 };
	return (struct iovec){ NULL, 0 };
}

FAULT_TAKES_PLACE ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	int fault = fault_now(fd);
	struct iovec one = fault_first_byte(m->msg_iov, m->msg_iovlen);
	struct msghdr less = { .msg_iov = &one, .msg_iovlen = 1 };

	if (fault > 0)
		return fault_error(fault);
	return syscall(SYS_sendmsg, fd, fault ? &less : m, flags);
}

FAULT_TAKES_PLACE ssize_t send(int fd, const void *data, size_t len, int flags)
{
	int fault = fault_now(fd);

	if (fault > 0)
		return fault_error(fault);
	return syscall(SYS_sendto, fd, data, fault && len ? 1 : len, flags, NULL, 0);
}

FAULT_TAKES_PLACE ssize_t writev(int fd, const struct iovec *iov, int count)
{
	int fault = fault_now(fd);
	struct iovec one = fault_first_byte(iov, (size_t)count);

	if (fault > 0)
		return fault_error(fault);
	return fault ? syscall(SYS_writev, fd, &one, 1)
		     : syscall(SYS_writev, fd, iov, count);
}

FAULT_TAKES_PLACE ssize_t write(int fd, const void *data, size_t len)
{
	int fault = fault_now(fd);

	if (fault > 0)
		return fault_error(fault);
	return syscall(SYS_write, fd, data, fault && len ? 1 : len);
}

FAULT_TAKES_PLACE ssize_t recv(int fd, void *buf, size_t cap, int flags)
{
	int fault = fault_now(fd);

	if (fault > 0)
		return fault_error(fault);
	return syscall(SYS_recvfrom, fd, buf, fault && cap ? 1 : cap, flags, NULL, NULL);
}

FAULT_TAKES_PLACE ssize_t read(int fd, void *buf, size_t cap)
{
	int fault = fault_now(fd);

	if (fault > 0)
		return fault_error(fault);
	return syscall(SYS_read, fd, buf, fault && cap ? 1 : cap);
}

FAULT_TAKES_PLACE ssize_t sendfile(int to, int from, off_t *offset, size_t len)
{
	int fault = fault_now(to);

	if (to == faults.fd) {
		char byte;
		struct iovec iov = { &byte, 1 };

		faults.sendfiles++;
		faults.cold += preadv2(from, &iov, 1, *offset, RWF_NOWAIT) < 0 &&
			       errno == EAGAIN;
	}
	if (fault > 0)
		return fault_error(fault);
	return syscall(SYS_sendfile, to, from, offset, fault && len ? 1 : len);
}

#endif
