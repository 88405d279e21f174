/* The stack switch, and nothing else. L1.
 *
 * A context is a stack pointer: everything else that a switch must keep lies on the
 * stack it points to. x86-64 and aarch64 have an assembly switch (ctx-x86_64.S,
 * ctx-aarch64.S); elsewhere, and with --with-context=ucontext, swapcontext does it.
 *
 * What lies at the stack pointer of a parked or fresh context, for debuggers (8 bytes
 * each):
 *   x86-64   mxcsr and x87 control word, r15, r14, r13, r12, rbx, rbp, rip
 *   aarch64  x19..x28, x29, x30 (the pc), d8..d15, fpcr, unused; the frame is 176 bytes
 * Both carry CFI; the outermost frame has no caller, so that a backtrace ends there.
 */
#ifndef AN_LOOP_CORE_CTX_H
#define AN_LOOP_CORE_CTX_H

#ifdef HAVE_CONFIG_H
#include <config.h> /* AN_CONTEXT_UCONTEXT */
#endif

#if !defined(__x86_64__) && !defined(__aarch64__) && !defined(AN_CONTEXT_UCONTEXT)
#define AN_CONTEXT_UCONTEXT 1
#endif
#if defined(__ILP32__) && !defined(AN_CONTEXT_UCONTEXT)
#define AN_CONTEXT_UCONTEXT 1
#endif

#define AN__CTX_FRAME_X86_64 64
#define AN__CTX_FRAME_AARCH64 176

#ifndef __ASSEMBLER__

#include <stddef.h>

typedef struct an__ctx an__ctx;

/* Prepares a stack so that the first switch to it calls entry(arg) on it. `low` is the
 * lowest usable byte and `top` the one behind the highest, aligned to 16. The caller's
 * floating-point control words are the new context's. entry must never return. */
void an__ctx_make(an__ctx *ctx, void *low, void *top, void (*entry)(void *arg),
		  void *arg);

/* Saves the running context in *from and goes on with *to. Keeps the callee-saved
 * registers and the floating-point control words. */
void an__ctx_switch(an__ctx *from, an__ctx *to);

#ifdef AN_CONTEXT_UCONTEXT
#include <ucontext.h>
struct an__ctx {
	ucontext_t uc;
	void (*entry)(void *arg);
	void *arg;
};
#else
struct an__ctx {
	void *sp;
};
#endif

#endif /* __ASSEMBLER__ */
#endif
