/* Where the library's memory comes from: libc's allocator, behind a count by which a test
 * makes one allocation fail. Base, L0. All of src allocates through here, which
 * tests/check-style.sh sees to, and releases with free().
 *
 * The count is the thread's own, so that a worker cannot take the failure that was meant
 * for the caller. While nothing is armed, which is always outside tests, an allocation
 * costs one load and one branch more than libc's.
 */
#ifndef AN_LOOP_BASE_ALLOC_H
#define AN_LOOP_BASE_ALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* How many allocations from now on the one is that fails; 0: none fails. */
extern __thread size_t an__alloc_countdown __attribute__((tls_model("initial-exec")));

/* Whether an armed failure has come since an__alloc_arm(). */
extern __thread bool an__alloc_failed __attribute__((tls_model("initial-exec")));

/* an__alloc_fails() while something is armed. */
bool an__alloc_counted(void);

/* Counts an allocation of this thread. True when it is the one to fail; errno is set. */
static inline bool an__alloc_fails(void)
{
	return __builtin_expect(an__alloc_countdown != 0, 0) && an__alloc_counted();
}

/* Arms the n-th allocation of this thread from now on; 0 disarms. Forgets what failed. */
void an__alloc_arm(size_t nth);

/* ---- libc's, each counted as one --------------------------------------------------- */

static inline void *an__malloc(size_t size)
{
	return an__alloc_fails() ? NULL : malloc(size);
}

static inline void *an__calloc(size_t n, size_t size)
{
	return an__alloc_fails() ? NULL : calloc(n, size);
}

static inline void *an__realloc(void *old, size_t size)
{
	return an__alloc_fails() ? NULL : realloc(old, size);
}

static inline void *an__reallocarray(void *old, size_t n, size_t size)
{
	return an__alloc_fails() ? NULL : reallocarray(old, n, size);
}

static inline char *an__strdup(const char *s)
{
	return an__alloc_fails() ? NULL : strdup(s);
}

static inline char *an__strndup(const char *s, size_t n)
{
	return an__alloc_fails() ? NULL : strndup(s, n);
}

/* NULL for want of memory. */
__attribute__((format(printf, 1, 2))) char *an__asprintf(const char *format, ...);

/* `alignment` is a power of two and a multiple of a pointer's size. */
void *an__aligned(size_t alignment, size_t size);

#endif
