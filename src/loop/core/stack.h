/* Guarded, pooled stacks for tasks. L1.
 *
 * Stacks are slots of large private anonymous slabs. The pages below a slot's usable
 * part are a guard (guard.h). A slot that is given back keeps its memory up to a
 * high-water mark, and until it has been idle for a while (an__stack_pool_trim). Tops are
 * staggered so that parked stacks do not all fall into the same cache sets.
 */
#ifndef AN_LOOP_CORE_STACK_H
#define AN_LOOP_CORE_STACK_H

#include "loop/base/list.h"

#include <stdbool.h>
#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define AN__STACK_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define AN__STACK_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define AN__STACK_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define AN__STACK_TSAN 1
#endif
#endif

typedef struct an__stack {
	char *low; /* lowest usable byte; the guard lies below */
	char *top; /* behind the highest usable byte, aligned to 64 and staggered */

	/* the pool's own */
	an__list node; /* on its class's warm or cold list while it is free */
	struct an__stack_slab *slab;
	unsigned valgrind_id;
	unsigned char state;
} an__stack;

typedef struct an__stack_pool an__stack_pool;

/* `default_size`: address space of a stack without its guard, in bytes; rounded up to
 * pages, and to at least 16 KiB. One pool a loop, used on its thread alone. Returns 0;
 * -ENOMEM; -EINVAL above 1 GiB. */
int an__stack_pool_new(size_t default_size, an__stack_pool **ret);

/* All stacks must have been given back. Accepts NULL, returns NULL. */
an__stack_pool *an__stack_pool_free(an__stack_pool *pool);

/* A stack of at least `size` bytes; 0: the default. Other sizes than the default are
 * rounded up to powers of two; the staggering takes up to 1 KiB of either. What the
 * memory holds is undefined. Returns 0; -ENOMEM, also when no more guards can be made;
 * -EINVAL above 1 GiB. */
int an__stack_acquire(an__stack_pool *pool, size_t size, an__stack **ret);

/* Must run on another stack. Accepts NULL, returns NULL. */
an__stack *an__stack_release(an__stack_pool *pool, an__stack *stack);

enum an__stack_trim {
	AN__STACK_TRIM_MORE,  /* call again soon: the rest of what is due */
	AN__STACK_TRIM_LATER, /* call again after a while */
	AN__STACK_TRIM_DONE,  /* nothing is left; the pool will ask again */
};

/* Gives back the memory of stacks that have been idle: of those that nobody needed since
 * the last call that did not return MORE, one half, so that what a burst left behind
 * shrinks by half with each round and is gone after some ten. One call takes some 0.3 ms
 * at most. */
enum an__stack_trim an__stack_pool_trim(an__stack_pool *pool);

/* `ask` is called, from a release, when idle stacks keep memory and trimming has not
 * begun: an__stack_pool_trim() is to be called after a while, until it returns DONE. It
 * must not use the pool itself. */
void an__stack_pool_on_idle(an__stack_pool *pool, void (*ask)(void *arg), void *arg);

/* Whether a sanitizer or valgrind wants to see each stack come and go. */
bool an__stack_tools_watch(void);

/* Whether `address` lies in the guard of the stack: for the overflow report;
 * async-signal-safe. */
bool an__stack_is_guard(const an__stack *stack, const void *address);

/* The stack that is handed out and has `address` among its usable bytes, or NULL.
 * Async-signal-safe on the pool's thread. Looks through all slabs. */
const an__stack *an__stack_at(const an__stack_pool *pool, const void *address);

typedef struct an__stack_stats {
	size_t slabs;  /* mapped */
	size_t in_use; /* handed out */
	size_t warm;   /* free, memory kept */
	size_t cold;   /* free, memory given back to the system */
} an__stack_stats;

an__stack_stats an__stack_pool_stats(const an__stack_pool *pool);

/* Installs, once a process, a SIGSEGV/SIGBUS handler on an alternate stack of this
 * thread. On a fault it asks describe(address, buf, cap), which writes the message for
 * an overflowed task's stack and returns its length, or 0 when the fault is not one;
 * the message goes to stderr, and then the former action is taken (by default the
 * process dies of the signal). `describe` must be async-signal-safe. Each loop's thread
 * calls enter before it runs tasks and leave after; the last leave takes the handler
 * away. An alternate stack that the thread has already is kept and used.
 * Returns 0; -ENOMEM; AN_ERR_MISUSE when the thread has entered. */
int an__stack_overflow_enter(size_t (*describe)(const void *address, char *buf,
						size_t cap));
void an__stack_overflow_leave(void);

/* Sanitizer hooks around a switch; empty without ASan and TSan. Before it: begin with
 * what is known of the stack that is switched to. `fake` belongs to the context that is
 * left; NULL: that context never runs again (a task's last switch). After it, on the
 * new stack: end with its own `fake` (NULL on its first run); the outputs, which may be
 * NULL, describe the stack that was left, so that a task learns the bounds of the
 * loop's stack. */
#if defined(AN__STACK_ASAN) || defined(AN__STACK_TSAN)
void an__stack_switch_begin(void **fake, const void *low, size_t size);
void an__stack_switch_end(void *fake, const void **ret_old_low, size_t *ret_old_size);
#else
static inline void an__stack_switch_begin(void **fake, const void *low, size_t size)
{
	(void)fake, (void)low, (void)size;
}

static inline void an__stack_switch_end(void *fake, const void **ret_old_low,
					size_t *ret_old_size)
{
	(void)fake;
	if (ret_old_low)
		*ret_old_low = NULL;
	if (ret_old_size)
		*ret_old_size = 0;
}
#endif

#endif
