/* Making a context, and the switch where there is no assembly for it. L1.
 *
 * A fresh stack gets the very frame that a switch leaves on a parked one, with the
 * address of an__ctx_start to return to; so the switch knows no difference.
 */
#include "loop/core/ctx.h"

#include <stdint.h>
#include <string.h>

#ifdef AN_CONTEXT_UCONTEXT

/* makecontext passes ints alone: a pointer goes in two halves. */
static void start(unsigned high, unsigned low)
{
	an__ctx *ctx = (an__ctx *)(((uintptr_t)high << 16 << 16) | (uintptr_t)low);

	ctx->entry(ctx->arg);
	__builtin_trap();
}

void an__ctx_make(an__ctx *ctx, void *low, void *top, void (*entry)(void *arg), void *arg)
{
	uintptr_t self = (uintptr_t)ctx;

	getcontext(&ctx->uc);
	ctx->entry = entry;
	ctx->arg = arg;
	ctx->uc.uc_stack.ss_sp = low;
	ctx->uc.uc_stack.ss_size = (size_t)((char *)top - (char *)low);
	ctx->uc.uc_link = NULL;
	makecontext(&ctx->uc, (void (*)(void))start, 2, (unsigned)(self >> 16 >> 16),
		    (unsigned)self);
}

void an__ctx_switch(an__ctx *from, an__ctx *to)
{
	swapcontext(&from->uc, &to->uc);
}

#else

void an__ctx_start(void);

/* Above the frame, a zero return address for unwinders that read the stack. */
#define TERMINATOR 16

#if defined(__x86_64__)

struct frame {
	uint32_t mxcsr;
	uint16_t fcw, unused;
	uint64_t r15, r14, r13, r12, rbx, rbp, rip;
};

_Static_assert(sizeof(struct frame) == AN__CTX_FRAME_X86_64, "the frame of ctx-x86_64.S");

static void fill(struct frame *f, void (*entry)(void *arg), void *arg)
{
	__asm__ volatile("stmxcsr %0" : "=m"(f->mxcsr));
	__asm__ volatile("fnstcw %0" : "=m"(f->fcw));
	f->rbx = (uint64_t)entry;
	f->r12 = (uint64_t)arg;
	f->rip = (uint64_t)an__ctx_start;
}

#else

struct frame {
	uint64_t x19, x20, x21_x28[8], x29, x30, d8_d15[8], fpcr, unused;
};

_Static_assert(sizeof(struct frame) == AN__CTX_FRAME_AARCH64,
	       "the frame of ctx-aarch64.S");

static void fill(struct frame *f, void (*entry)(void *arg), void *arg)
{
	__asm__ volatile("mrs %0, fpcr" : "=r"(f->fpcr));
	f->x19 = (uint64_t)entry;
	f->x20 = (uint64_t)arg;
	f->x30 = (uint64_t)an__ctx_start;
}

#endif

void an__ctx_make(an__ctx *ctx, void *low, void *top, void (*entry)(void *arg), void *arg)
{
	char *terminator = (char *)top - TERMINATOR;
	struct frame *f = (struct frame *)(void *)(terminator - sizeof(*f));

	(void)low;
	memset(f, 0, sizeof(*f) + TERMINATOR);
	fill(f, entry, arg);
	ctx->sp = f;
}

#endif
