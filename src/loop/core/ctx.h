/* The stack switch, and nothing else. L1.
 *
 * A context is a stack pointer: everything else that a switch must keep lies on the stack
 * it points to. x86-64 and aarch64 have an assembly switch; elsewhere, and with
 * --with-context=ucontext, swapcontext does it.
 */
#ifndef AN_LOOP_CORE_CTX_H
#define AN_LOOP_CORE_CTX_H

#include <stddef.h>

typedef struct an__ctx an__ctx;

/* Prepares a stack so that the first switch to it calls entry(arg) on it. `low` is the
 * lowest usable byte and `top` the one behind the highest, aligned to 16. entry must
 * never return. */
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

#endif
