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

/* Saves the callee-saved registers and ends in an indirect jump: with nothing to return
 * to behind it, a `ret` would only be mispredicted. */
#if defined(__x86_64__)
#define SAVED 6
__asm__("swap:\n"
	"	push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15\n"
	"	mov %rsp, (%rdi); mov %rsi, %rsp\n"
	"	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp\n"
	"	pop %rcx; jmp *%rcx\n");
#elif defined(__aarch64__)
#define SAVED 19
__asm__("swap:\n"
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
	"	mov x9, sp; str x9, [x0]; mov sp, x1\n"
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

void swap(void **from, void *to) __asm__("swap");

static void *make_stack(void (*entry)(void))
{
	void **sp = (void **)aligned_alloc(64, 65536) + 8192 - 3;

	*--sp = (void *)entry;
	for (int i = 0; i < SAVED; i++)
		*--sp = NULL;
	return sp;
}

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
