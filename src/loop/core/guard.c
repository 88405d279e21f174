/* Guards, and what of them the kernel has. L1.
 *
 * Invariant: by_mprotect_count is the number of guards of the process that mprotect made
 * and that are still mapped, at most the limit.
 */
#include "loop/core/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* Linux 6.13 */
#endif

/* A guard is one map, the stack above it another. */
#define MAPS_EACH 2
#define MAPS_DEFAULT 65530

static pthread_once_t probe_once = PTHREAD_ONCE_INIT;
static bool kernel_has_guards;
static bool forced_mprotect;
static size_t mprotect_limit;
static atomic_size_t by_mprotect_count;

static size_t max_map_count(void)
{
	char text[32];
	int fd = open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return MAPS_DEFAULT;
	n = read(fd, text, sizeof text - 1);
	close(fd);
	if (n <= 0)
		return MAPS_DEFAULT;
	text[n] = '\0';
	return strtoul(text, NULL, 10);
}

/* That madvise returns 0 is not enough: qemu's user emulation does so for any advice, and
 * ignores it. The kernel is asked to write into the page, which it refuses without a
 * fault. */
static bool guards_hold(void *page, size_t size)
{
	return !madvise(page, size, MADV_GUARD_INSTALL) && uname(page) && errno == EFAULT;
}

static void probe(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), maps = max_map_count();
	void *p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);

	/* A process without a single map left cannot start a thread, nor unmap a part of
	 * anything. */
	mprotect_limit = (maps - maps / 16) / MAPS_EACH;
	if (p == MAP_FAILED)
		return;
	kernel_has_guards = guards_hold(p, page);
	munmap(p, page);
}

void an__guard_force_mprotect(bool force)
{
	forced_mprotect = force;
}

bool an__guard_by_mprotect(void)
{
	pthread_once(&probe_once, probe);
	return forced_mprotect || !kernel_has_guards;
}

size_t an__guard_limit(void)
{
	pthread_once(&probe_once, probe);
	return mprotect_limit;
}

static int by_mprotect(void *start, size_t bytes)
{
	size_t count =
		atomic_fetch_add_explicit(&by_mprotect_count, 1, memory_order_relaxed);

	if (count < mprotect_limit && !mprotect(start, bytes, PROT_NONE))
		return 0;
	an__guard_unmapped(true, 1);
	return -ENOMEM;
}

int an__guard_install(bool mprotected, void *start, size_t bytes)
{
	int r;

	if (mprotected)
		return by_mprotect(start, bytes);
	do
		r = madvise(start, bytes, MADV_GUARD_INSTALL) ? -errno : 0;
	while (r == -EINTR || r == -EAGAIN);
	return r;
}

void an__guard_unmapped(bool mprotected, size_t count)
{
	if (mprotected)
		atomic_fetch_sub_explicit(&by_mprotect_count, count,
					  memory_order_relaxed);
}
