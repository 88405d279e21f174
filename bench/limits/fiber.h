/* The least that tasks can be: stacks, a switch in assembly, a FIFO of who is ready.
 *
 * What the limits of the tasks gauges share. There is no cancellation, no clock, no error
 * and no end of the program but exit(). main() is a fibre too, on its own stack. What a
 * library would export is FIBER_CALL: a real call, whose caller knows nothing of the
 * inside.
 */
#ifndef BENCH_LIMITS_FIBER_H
#define BENCH_LIMITS_FIBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#define FIBER_CALL static __attribute__((noinline, unused))

/* Lies at the top of its stack, so that one page holds both. */
struct fiber {
	void *sp;
	struct fiber *next; /* in the one list that it is on */
	void (*fn)(void *);
	void *arg;
	struct fiber *joiner;
	bool done;
	void *item; /* of a queue: what is put, what was got */
};

/* A FIFO of fibres: those that are ready, those that wait for a mutex... */
struct fibers {
	struct fiber *first, *last;
};

static struct fiber main_fiber, *current = &main_fiber;
static struct fibers ready;
static struct fiber *unused;

static inline void fibers_add(struct fibers *list, struct fiber *f)
{
	f->next = NULL;
	if (list->first)
		list->last->next = f;
	else
		list->first = f;
	list->last = f;
}

static inline struct fiber *fibers_take(struct fibers *list)
{
	struct fiber *f = list->first;

	if (f)
		list->first = f->next;
	return f;
}

/* ---- the switch ----------------------------------------------------------------- */

/* Saves the callee-saved registers and ends in an indirect jump: with nothing to return
 * to behind it, a `ret` would only be mispredicted. */
#if defined(__x86_64__)
#define FIBER_SAVED 6
#define FIBER_PAD 8 /* a function is entered with the return address on its stack */
__asm__("fiber_swap:\n"
	"	push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15\n"
	"	mov %rsp, (%rdi); mov (%rsi), %rsp\n"
	"	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp\n"
	"	pop %rcx; jmp *%rcx\n");
#elif defined(__aarch64__)
#define FIBER_SAVED 19
#define FIBER_PAD 0
__asm__("fiber_swap:\n"
	"	sub sp, sp, #160\n"
	"	stp d8, d9, [sp, #0]\n"
	"	stp d10, d11, [sp, #16]\n"
	"	stp d12, d13, [sp, #32]\n"
	"	stp d14, d15, [sp, #48]\n"
	"	stp x19, x20, [sp, #64]\n"
	"	stp x21, x22, [sp, #80]\n"
	"	stp x23, x24, [sp, #96]\n"
	"	stp x25, x26, [sp, #112]\n"
	"	stp x27, x28, [sp, #128]\n"
	"	stp x29, x30, [sp, #144]\n"
	"	mov x9, sp; str x9, [x0]; ldr x9, [x1]; mov sp, x9\n"
	"	ldp d8, d9, [sp, #0]\n"
	"	ldp d10, d11, [sp, #16]\n"
	"	ldp d12, d13, [sp, #32]\n"
	"	ldp d14, d15, [sp, #48]\n"
	"	ldp x19, x20, [sp, #64]\n"
	"	ldp x21, x22, [sp, #80]\n"
	"	ldp x23, x24, [sp, #96]\n"
	"	ldp x25, x26, [sp, #112]\n"
	"	ldp x27, x28, [sp, #128]\n"
	"	ldp x29, x30, [sp, #144]\n"
	"	add sp, sp, #160; br x30\n");
#else
#error "no limit written for this processor"
#endif

void fiber_swap(void **from, void **to) __asm__("fiber_swap");

/* Runs the others until somebody adds the caller to `ready`. */
static inline void fiber_park(void)
{
	struct fiber *self = current;

	current = fibers_take(&ready);
	fiber_swap(&self->sp, &current->sp);
}

/* Goes through the FIFO and the switch even when nobody else is ready. */
FIBER_CALL void fiber_yield(void)
{
	fibers_add(&ready, current);
	fiber_park();
}

/* ---- stacks --------------------------------------------------------------------- */

#define FIBER_STACK 65536

/* Makes `count` stacks for fiber_spawn() to take. Their tops are 64 bytes apart, or they
 * would all fall into the same cache set. */
static inline void fiber_stacks(size_t count)
{
	char *slab = mmap(NULL, count * FIBER_STACK, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (slab == MAP_FAILED)
		exit(1);
	for (size_t i = 0; i < count; i++) {
		char *top = slab + (i + 1) * FIBER_STACK - (i & 15) * 64;
		struct fiber *f = (struct fiber *)(top - sizeof *f);

		f->next = unused;
		unused = f;
	}
}

static inline void fiber_start(void)
{
	struct fiber *self = current;

	self->fn(self->arg);
	self->done = true;
	if (self->joiner)
		fibers_add(&ready, self->joiner);
	fiber_park();
}

/* The caller has made enough stacks. */
FIBER_CALL struct fiber *fiber_spawn(void (*fn)(void *), void *arg)
{
	struct fiber *f = unused;
	void **sp = (void **)((char *)((uintptr_t)f & ~(uintptr_t)15) - FIBER_PAD);

	unused = f->next;
	*--sp = (void *)fiber_start;
	f->sp = sp - FIBER_SAVED;
	f->fn = fn;
	f->arg = arg;
	f->joiner = NULL;
	f->done = false;
	fibers_add(&ready, f);
	return f;
}

FIBER_CALL void fiber_join(struct fiber *f)
{
	if (!f->done) {
		f->joiner = current;
		fiber_park();
	}
	f->next = unused;
	unused = f;
}

#endif
