/* Backtraces, by the unwinder of the compiler's runtime. L1; see frames.h.
 *
 * It neither locks nor allocates where the C library can find an object by an address
 * without a lock: glibc from 2.35 on.
 */
#include "config.h"

#include "loop/core/stack.h"
#include "loop/core/frames.h"

#include <stdint.h>
#include <unwind.h>
#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#else
#define VALGRIND_MAKE_MEM_UNDEFINED(at, size) ((void)(at), (void)(size))
#define VALGRIND_MAKE_MEM_NOACCESS(at, size) ((void)(at), (void)(size))
#endif

/* These run on stacks that sanitizers were not told of. */
#ifdef AN__STACK_ASAN
#define UNSEEN __attribute__((no_sanitize("address")))
#elif defined(AN__STACK_TSAN)
#define UNSEEN __attribute__((no_sanitize("thread")))
#else
#define UNSEEN
#endif

struct walk {
	an__frames *frames;
	const void *from; /* frames before this one are not asked for */
	const char *low, *high; /* frames elsewhere are not believed; NULL: any are */
	bool started;
};

UNSEEN static _Unwind_Reason_Code note(struct _Unwind_Context *context, void *arg)
{
	struct walk *walk = arg;
	an__frames *f = walk->frames;
	const char *sp = (const char *)_Unwind_GetCFA(context);
	const void *pc = (const void *)_Unwind_GetIP(context);

	walk->started |= pc == walk->from;
	if (!walk->started)
		return _URC_NO_REASON;
	if (!pc)
		return _URC_END_OF_STACK;
	if (walk->low && (sp < walk->low || sp > walk->high))
		return _URC_END_OF_STACK;
	f->more = f->count == AN__FRAMES_MAX;
	if (f->more)
		return _URC_END_OF_STACK;
	f->at[f->count].pc = pc;
	f->at[f->count].sp = sp;
	f->count++;
	return _URC_NO_REASON;
}

UNSEEN static void go(void *arg)
{
	_Unwind_Backtrace(note, arg);
}

void an__unwind_init(void)
{
	an__frames none;

	an__unwind_here(NULL, &none);
}

#ifdef AN_CONTEXT_UCONTEXT

static void cut_start(an__frames *f)
{
	(void)f;
}

bool an__unwind_parked(const an__ctx *ctx, const void *low, const void *high,
		       an__frames *ret)
{
	(void)ctx, (void)low, (void)high, (void)ret;
	return false;
}

#else

/* The way from a stack's beginning to the task's function is always the same: two
 * frames. */
static void cut_start(an__frames *f)
{
	uintptr_t start = (uintptr_t)an__ctx_start;

	if (f->count > 2 && (uintptr_t)f->at[f->count - 1].pc - start < 32)
		f->count -= 2;
}

/* What the unwinder of libgcc takes is less than half of this. */
#define ROOM 8192
#define RED_ZONE 128

bool an__unwind_parked(const an__ctx *ctx, const void *low, const void *high,
		       an__frames *ret)
{
	struct walk walk = {
		.frames = ret, .from = ctx->pc, .low = ctx->sp, .high = high
	};
	char *room = (char *)ctx->sp - ROOM;

	ret->count = 0;
	ret->more = false;
	if (room < (const char *)low || ctx->sp > high)
		return false;
	/* valgrind does not see that memory is taken in the same moment as the stack. */
	VALGRIND_MAKE_MEM_UNDEFINED(room, ROOM - RED_ZONE);
	an__ctx_visit(ctx, go, &walk);
	VALGRIND_MAKE_MEM_NOACCESS(room, ROOM - RED_ZONE);
	cut_start(ret);
	return true;
}

#endif

void an__unwind_here(const void *pc, an__frames *ret)
{
	struct walk walk = { .frames = ret, .from = pc };

	ret->count = 0;
	ret->more = false;
	go(&walk);
	cut_start(ret);
}
