/* Where a task is: the return addresses on its stack, and the names of functions. L1.
 * Async-signal-safe, after an__unwind_init() was called once in the process. */
#ifndef AN_LOOP_CORE_FRAMES_H
#define AN_LOOP_CORE_FRAMES_H

#include "loop/core/ctx.h"

#include <stdbool.h>

#define AN__FRAMES_MAX 32

typedef struct an__frames {
	size_t count;
	bool more; /* there was no room for all */
	struct an__frame {
		const void *pc;
		const void *sp;
	} at[AN__FRAMES_MAX]; /* innermost first */
} an__frames;

/* Has the unwinder set up and bound what it would otherwise do on its first use. */
void an__unwind_init(void);

/* The frames of the caller, from the one on that goes on at `pc`. In a signal handler
 * they lead on to what was interrupted, also where that is on another stack. */
void an__unwind_here(const void *pc, an__frames *ret);

/* The frames of a parked context, whose stack begins at `low` and ends at `high`. Returns
 * false where they cannot be had: in a build with swapcontext, or when the stack has no
 * room left for the unwinder. */
bool an__unwind_parked(const an__ctx *ctx, const void *low, const void *high,
		       an__frames *ret);

/* What is known of an address of code: the function, if its symbol is exported, else the
 * file that it was loaded from. The texts are not copied and live as long as that
 * file. */
typedef struct an__symbol {
	const char *function; /* NULL: not known */
	const char *file;     /* without its folder; NULL: not known */
	size_t offset;	      /* from that */
} an__symbol;

/* glibc before 2.35 has no way to find out without a lock: nothing is known then. */
an__symbol an__symbol_at(const void *pc);

#endif
