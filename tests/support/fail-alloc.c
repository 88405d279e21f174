/* Allocations that fail on purpose: the targets of the linker's --wrap. Test support.
 *
 * Calls from shared libraries (libc's own, OpenSSL's, libevent's) do not come here: what
 * is tested is how this library takes its own failures.
 */
#include "fail-alloc.h"

#include <errno.h>
#include <stdlib.h>

static _Thread_local size_t countdown; /* 0: nothing is to fail */
static _Thread_local bool failed;

void an__test_fail_allocation(size_t n)
{
	countdown = n;
	failed = false;
}

bool an__test_allocation_failed(void)
{
	bool was = failed;

	countdown = 0;
	failed = false;
	return was;
}

static bool fails_now(void)
{
	if (!countdown || --countdown)
		return false;
	failed = true;
	errno = ENOMEM;
	return true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_reallocarray(void *old, size_t count, size_t size);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
void *__real_aligned_alloc(size_t alignment, size_t size);
int __real_posix_memalign(void **ret, size_t alignment, size_t size);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
int __wrap_posix_memalign(void **ret, size_t alignment, size_t size);

/* Programs that do not wrap have no __real_ names; weak ones let them link this file
 * too. */
#pragma weak __real_malloc
#pragma weak __real_calloc
#pragma weak __real_realloc
#pragma weak __real_reallocarray
#pragma weak __real_strdup
#pragma weak __real_strndup
#pragma weak __real_aligned_alloc
#pragma weak __real_posix_memalign

void *__wrap_malloc(size_t size)
{
	return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails_now() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return fails_now() ? NULL : __real_realloc(old, size);
}

void *__wrap_reallocarray(void *old, size_t count, size_t size)
{
	return fails_now() ? NULL : __real_reallocarray(old, count, size);
}

char *__wrap_strdup(const char *s)
{
	return fails_now() ? NULL : __real_strdup(s);
}

char *__wrap_strndup(const char *s, size_t n)
{
	return fails_now() ? NULL : __real_strndup(s, n);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
	return fails_now() ? NULL : __real_aligned_alloc(alignment, size);
}

int __wrap_posix_memalign(void **ret, size_t alignment, size_t size)
{
	return fails_now() ? ENOMEM : __real_posix_memalign(ret, alignment, size);
}
