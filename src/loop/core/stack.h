/* Guarded, pooled stacks for tasks. L1.
 *
 * Stacks are slots of large private anonymous slabs. The pages below a slot's usable part
 * are a guard (MADV_GUARD_INSTALL where the kernel has it: no VMA each; else mprotect). A
 * slot that is given back keeps its first pages up to a high-water mark. Tops are
 * staggered so that parked stacks do not all fall into the same cache sets.
 */
#ifndef AN_LOOP_CORE_STACK_H
#define AN_LOOP_CORE_STACK_H

#include <stdbool.h>
#include <stddef.h>

typedef struct an__stack {
	char *low; /* lowest usable byte; the guard lies below */
	char *top; /* behind the highest usable byte, aligned to 16 and staggered */
	unsigned valgrind_id;
} an__stack;

typedef struct an__stack_pool an__stack_pool;

/* `default_size`: address space of a stack without its guard, in bytes; rounded up to
 * pages. One pool a loop, used on its thread alone. Returns 0; -ENOMEM. */
int an__stack_pool_new(size_t default_size, an__stack_pool **ret);

/* All stacks must have been given back. Accepts NULL, returns NULL. */
an__stack_pool *an__stack_pool_free(an__stack_pool *pool);

/* A stack of at least `size` bytes; 0: the default. Returns 0; -ENOMEM; -EINVAL above 1
 * GiB. */
int an__stack_acquire(an__stack_pool *pool, size_t size, an__stack **ret);

/* Accepts NULL, returns NULL. */
an__stack *an__stack_release(an__stack_pool *pool, an__stack *stack);

/* Whether `address` lies in the guard of the stack: for the overflow report;
 * async-signal-safe. */
bool an__stack_is_guard(const an__stack *stack, const void *address);

/* Installs, once a process, a SIGSEGV/SIGBUS handler on an alternate stack of this
 * thread. On a fault it asks describe(address, buf, cap), which writes the message for an
 * overflowed task's stack and returns its length, or 0 when the fault is not one; the
 * message goes to stderr, and then the former action is taken (by default the process
 * dies of the signal). async-signal-safe. Each loop's thread calls enter before it runs
 * tasks and leave after. Returns 0 or -errno. */
int an__stack_overflow_enter(size_t (*describe)(const void *address, char *buf,
						size_t cap));
void an__stack_overflow_leave(void);

/* Sanitizer hooks around a switch; empty without ASan/TSan. `fake` belongs to the context
 * that is left; NULL destroys it (a task's last switch). */
void an__stack_switch_begin(void **fake, const void *low, size_t size);
void an__stack_switch_end(void *fake, const void **ret_old_low, size_t *ret_old_size);

#endif
