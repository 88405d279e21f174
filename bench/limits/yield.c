/* The limit of tasks.yield: two stacks, a switch in assembly, a FIFO of who is next. */
#include "bench/measure.h"

#include <stdint.h>

#define SLICES 40
#define YIELDS 250000

struct fiber {
	void *sp;
	struct fiber *next;
};

static struct fiber fibers[2], main_fiber, *first, *last, *current;
static struct measure measure;
static long left;

#if defined(__x86_64__)
/* Saves the callee-saved registers and ends in an indirect jump: a `ret` would be
 * mispredicted. */
__attribute__((naked, noinline)) static void swap(void **from, void *to)
{
	__asm__("push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15\n"
		"mov %rsp, (%rdi); mov %rsi, %rsp\n"
		"pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp\n"
		"pop %rcx; jmp *%rcx\n");
	(void)from;
	(void)to;
}

static void *make_stack(void (*entry)(void))
{
	void **sp = (void **)aligned_alloc(64, 65536) + 8192 - 2;

	*--sp = (void *)entry;
	for (int i = 0; i < 6; i++)
		*--sp = NULL;
	return sp;
}
#else
#error "no limit written for this processor"
#endif

static void yield(void)
{
	struct fiber *self = current;

	self->next = NULL;
	if (last)
		last->next = self;
	else
		first = self;
	last = self;
	current = first;
	first = first->next;
	if (!first)
		last = NULL;
	swap(&self->sp, current->sp);
}

static void body(void)
{
	for (;;) {
		if (!--left) {
			struct fiber *self = current;

			current = &main_fiber;
			swap(&self->sp, main_fiber.sp);
		}
		yield();
	}
}

int main(void)
{
	for (int i = 0; i < 2; i++) {
		fibers[i].sp = make_stack(body);
		fibers[i].next = first;
		first = &fibers[i];
		if (!last)
			last = first;
	}
	current = first;
	first = first->next;
	last = first;
	measure_begin(&measure);
	for (int i = 0; i < SLICES; i++) {
		struct fiber *to = i ? first : current;

		left = YIELDS;
		if (i) {
			first = first->next;
			if (!first)
				last = NULL;
		}
		current = to;
		swap(&main_fiber.sp, to->sp);
		measure_slice(&measure, YIELDS);
		/* The fibre that came back waits its turn again. */
		struct fiber *back = &fibers[first == &fibers[0]];

		back->next = NULL;
		if (last)
			last->next = back;
		else
			first = back;
		last = back;
	}
	return measure_end(&measure);
}
