/* The parts of the switch that are seldom needed, and swapcontext in its place. L1; see
 * ctx.h. */
#include "loop/core/ctx.h"

#ifdef AN_CONTEXT_UCONTEXT

/* makecontext passes ints alone: a pointer goes in two halves. */
static void start(unsigned high, unsigned low)
{
	an__ctx *ctx = (an__ctx *)(((uintptr_t)high << 16 << 16) | (uintptr_t)low);

	ctx->entry(ctx->arg);
	__builtin_trap();
}

void an__ctx_make_ucontext(an__ctx *ctx, void *low, void *top, void (*entry)(void *arg),
			   void *arg)
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

#elif defined(__x86_64__)

/* The same fields lie in other places of mxcsr: six exception masks from bit 7 on, not 0,
 * and the two bits of the rounding mode from 13 on, not 10. */
#define MASKS(fcw) (((uint32_t)(fcw)&0x3f) << 7)
#define ROUNDING(fcw) (((uint32_t)(fcw)&0xc00) << 3)

void an__ctx_set_fcw(uint16_t fcw)
{
	uint32_t mxcsr;

	__asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
	mxcsr &= ~(MASKS(0xffff) | ROUNDING(0xffff));
	mxcsr |= MASKS(fcw) | ROUNDING(fcw);
	__asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
	__asm__ volatile("fldcw %0" : : "m"(fcw));
}

#ifdef AN__CTX_HAS_LEAVE
int an__ctx_leave_fenv(an__ctx *from, an__ctx *to)
{
	an__ctx_set_fcw(to->fcw);
	return an__ctx_leave_to(from, to);
}
#endif

#endif
