/* The system's calls on files, each of which a test can have fail or do less.
 *
 * To be included by one file of a program: the calls are defined here, in the place of
 * libc's, and so the library's calls are these. Only what workers do on files, folders
 * and names counts; the loop's own descriptors are left alone, and so is the main
 * thread.
 *
 *	for (int n = 1;; n++) {
 *		faults_arm(n, EIO, FAULT_ANY);
 *		r = the_thing_under_test();
 *		if (!faults_fired())
 *			break;
 *		...
 *	}
 */
#ifndef TESTS_SUPPORT_FILE_FAULTS_H
#define TESTS_SUPPORT_FILE_FAULTS_H

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* Which calls. */
enum fault_kind {
	FAULT_OPEN = 1 << 0,
	FAULT_READ = 1 << 1,
	FAULT_WRITE = 1 << 2,
	FAULT_SYNC = 1 << 3,
	FAULT_NAME = 1 << 4,   /* what changes names */
	FAULT_OTHER = 1 << 5,  /* stat, mode, owner, size */
	FAULT_LISTED = 1 << 6, /* the entries of a folder */
	FAULT_CLOSE = 1 << 7,  /* it closes, and fails */
	FAULT_TEMP = 1 << 8,   /* a temporary file is made */
	FAULT_ANY = (1 << 9) - 1,
	/* What a signal can interrupt. */
	FAULT_SLOW = FAULT_OPEN | FAULT_READ | FAULT_WRITE | FAULT_SYNC,
};

static struct {
	atomic_int left;  /* calls until one fails; 0: none does */
	atomic_int error; /* its errno */
	atomic_int kinds;
	atomic_bool fired;
	atomic_int cap; /* bytes that a read or write does at most; 0: all */
	const char *_Atomic call;
} faults;

/* The n-th call from now on of these kinds fails, once. */
static inline void faults_arm(int nth, int error, int kinds)
{
	faults.error = error;
	faults.kinds = kinds;
	faults.fired = false;
	faults.left = nth;
}

/* Whether it has; none fails from here on. */
static inline bool faults_fired(void)
{
	faults.left = 0;
	return faults.fired;
}

static inline bool fault_due(enum fault_kind kind, const char *call)
{
	if (!faults.left || !(faults.kinds & kind) || gettid() == getpid())
		return false;
	if (atomic_fetch_sub(&faults.left, 1) != 1)
		return false;
	faults.call = call;
	faults.fired = true;
	errno = faults.error;
	return true;
}

/* eventfds and the like are nobody's files. */
static inline bool fault_due_on(int fd, enum fault_kind kind, const char *call)
{
	struct stat st;
	int saved = errno;

	if (!faults.left || syscall(SYS_fstat, fd, &st) < 0 || !(st.st_mode & S_IFMT)) {
		errno = saved;
		return false;
	}
	return fault_due(kind, call);
}

static inline size_t fault_capped(int fd, size_t len)
{
	struct stat st;

	if (!faults.cap || len <= (size_t)faults.cap || gettid() == getpid() ||
	    syscall(SYS_fstat, fd, &st) < 0 || !S_ISREG(st.st_mode))
		return len;
	return (size_t)faults.cap;
}

/* ---- libc's names ------------------------------------------------------------------ */

int open(const char *path, int flags, ...)
{
	va_list arguments;
	int mode;

	va_start(arguments, flags);
	mode = va_arg(arguments, int);
	va_end(arguments);
	return fault_due(FAULT_OPEN, "open")
		       ? -1
		       : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...)
{
	va_list arguments;
	int mode;

	va_start(arguments, flags);
	mode = va_arg(arguments, int);
	va_end(arguments);
	return fault_due(FAULT_OPEN, "openat")
		       ? -1
		       : (int)syscall(SYS_openat, folder, path, flags, mode);
}

ssize_t read(int fd, void *buf, size_t len)
{
	if (fault_due_on(fd, FAULT_READ, "read"))
		return -1;
	return syscall(SYS_read, fd, buf, fault_capped(fd, len));
}

ssize_t write(int fd, const void *data, size_t len)
{
	if (fault_due_on(fd, FAULT_WRITE, "write"))
		return -1;
	return syscall(SYS_write, fd, data, fault_capped(fd, len));
}

ssize_t pread(int fd, void *buf, size_t len, off_t offset)
{
	if (fault_due_on(fd, FAULT_READ, "pread"))
		return -1;
	return syscall(SYS_pread64, fd, buf, fault_capped(fd, len), offset);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
	if (fault_due_on(fd, FAULT_WRITE, "pwrite"))
		return -1;
	return syscall(SYS_pwrite64, fd, data, fault_capped(fd, len), offset);
}

/* Nothing is ever cached: workers read. */
ssize_t preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	(void)fd, (void)iov, (void)count, (void)offset, (void)flags;
	errno = EAGAIN;
	return -1;
}

ssize_t copy_file_range(int in, off64_t *in_at, int out, off64_t *out_at, size_t len,
			unsigned flags)
{
	if (fault_due(FAULT_WRITE, "copy_file_range"))
		return -1;
	return syscall(SYS_copy_file_range, in, in_at, out, out_at,
		       fault_capped(in, len), flags);
}

int fsync(int fd)
{
	return fault_due(FAULT_SYNC, "fsync") ? -1 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	return fault_due(FAULT_SYNC, "fdatasync") ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int ftruncate(int fd, off_t size)
{
	return fault_due(FAULT_SYNC, "ftruncate") ? -1
						  : (int)syscall(SYS_ftruncate, fd, size);
}

int fallocate(int fd, int mode, off_t offset, off_t len)
{
	return fault_due(FAULT_SYNC, "fallocate")
		       ? -1
		       : (int)syscall(SYS_fallocate, fd, mode, offset, len);
}

int fchmod(int fd, mode_t mode)
{
	return fault_due(FAULT_OTHER, "fchmod") ? -1 : (int)syscall(SYS_fchmod, fd, mode);
}

int fchown(int fd, uid_t owner, gid_t group)
{
	return fault_due(FAULT_OTHER, "fchown")
		       ? -1
		       : (int)syscall(SYS_fchown, fd, owner, group);
}

int rename(const char *from, const char *to)
{
	return fault_due(FAULT_NAME, "rename")
		       ? -1
		       : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int mkdir(const char *path, mode_t mode)
{
	return fault_due(FAULT_NAME, "mkdir")
		       ? -1
		       : (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}

int unlinkat(int folder, const char *path, int flags)
{
	return fault_due(FAULT_NAME, "unlinkat")
		       ? -1
		       : (int)syscall(SYS_unlinkat, folder, path, flags);
}

int mkostemp(char *name, int flags)
{
	return fault_due(FAULT_TEMP, "mkostemp") ? -1 : mkostemps(name, 0, flags);
}

char *mkdtemp(char *name)
{
	char *(*real)(char *) = (char *(*)(char *))dlsym(RTLD_NEXT, "mkdtemp");

	return fault_due(FAULT_NAME, "mkdtemp") ? NULL : real(name);
}

ssize_t getdents64(int fd, void *buf, size_t len)
{
	return fault_due(FAULT_LISTED, "getdents64")
		       ? -1
		       : syscall(SYS_getdents64, fd, buf, len);
}

struct dirent *readdir(DIR *folder)
{
	struct dirent *(*real)(DIR *) =
		(struct dirent * (*)(DIR *)) dlsym(RTLD_NEXT, "readdir");

	return fault_due(FAULT_LISTED, "readdir") ? NULL : real(folder);
}

int close(int fd)
{
	bool fails = fault_due_on(fd, FAULT_CLOSE, "close");
	int error = errno;
	int r = (int)syscall(SYS_close, fd);

	if (!fails)
		return r;
	errno = error;
	return -1;
}

#endif
