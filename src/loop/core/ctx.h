/* The stack switch, and nothing else. L1.
 *
 * A context is what a switch must keep besides the stack's memory: where the stack is and
 * where to go on. x86-64 and aarch64 have a switch of their own below; elsewhere, and
 * with --with-context=ucontext, swapcontext does it.
 *
 * The switch is inlined, and calls every callee-saved register clobbered: the compiler
 * then keeps on the stack what it still needs, which next to a switch is little, and
 * there is no call and no return that the processor could mispredict. The jump at its
 * end is always to the same few places, so it is predicted, too. What the compiler must
 * not be told is clobbered (the frame pointer) is kept in the context.
 *
 * So is the floating-point environment that <fenv.h> sets: the rounding mode and the
 * exceptions that trap. On x86-64 both units have a word for it, and fenv.h always
 * changes both, so the x87's, which is cheap to read, stands for the two. What intrinsics
 * set in mxcsr alone (flushing denormals to zero) is the thread's, for all its tasks:
 * saving that word, too, would make a yield a third dearer (stmxcsr waits for all before
 * it).
 *
 * A context that is come back to finds its address in the second argument's register, and
 * restores its frame pointer itself.
 *
 * A debugger or an unwinder finds a parked context by its sp, pc and fp; the function
 * around pc carries ordinary CFI. Below sp lies the red zone of that function (x86-64):
 * who borrows a parked stack must leave 128 bytes alone.
 *
 * No mark of shadow stacks (SHSTK) is set: a switch does not exchange those.
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

/* Where, counted from a context, the int lies that an__ctx_leave_to() returns: in the
 * task that the context is part of. */
#define AN__CTX_RESULT 232

#ifndef __ASSEMBLER__

#include "loop/core/stack.h" /* which sanitizers there are */

#include <stddef.h>
#include <stdint.h>

typedef struct an__ctx an__ctx;

/* Prepares a stack so that the first switch to it calls entry(arg) on it. `low` is the
 * lowest usable byte and `top` the one behind the highest, aligned to 16. The caller's
 * floating-point environment is the new context's. entry must never return. */
static inline void an__ctx_make(an__ctx *ctx, void *low, void *top,
				void (*entry)(void *arg), void *arg);

/* And an__ctx_switch(from, to), below: saves the running context in *from and goes on
 * with *to. Keeps the callee-saved registers and the floating-point environment. */

/* The stack pointer of a context that is not running, or NULL where it is not known. */
static inline void *an__ctx_sp(const an__ctx *ctx);

#ifdef AN_CONTEXT_UCONTEXT

#include <ucontext.h>

struct an__ctx {
	ucontext_t uc;
	void (*entry)(void *arg);
	void *arg;
};

void an__ctx_make_ucontext(an__ctx *ctx, void *low, void *top, void (*entry)(void *arg),
			   void *arg);

static inline void an__ctx_make(an__ctx *ctx, void *low, void *top,
				void (*entry)(void *arg), void *arg)
{
	an__ctx_make_ucontext(ctx, low, top, entry, arg);
}

static inline void an__ctx_switch(an__ctx *from, an__ctx *to)
{
	swapcontext(&from->uc, &to->uc);
}

static inline void *an__ctx_sp(const an__ctx *ctx)
{
	(void)ctx;
	return NULL;
}

#else

struct an__ctx {
	void *sp, *pc, *fp;
#ifdef __x86_64__
	uint16_t fcw; /* the x87's control word */
#else
	uint64_t fpcr;
#endif
};

/* The same switch as a function, which returns the int at AN__CTX_RESULT of `from` when
 * that is come back to. It goes back to its caller by an indirect jump (see quick.h).
 * Sanitizers want to be told of every switch, and have none. In ctx-*.S. */
#if !defined(AN__STACK_ASAN) && !defined(AN__STACK_TSAN)
#define AN__CTX_HAS_LEAVE 1
int an__ctx_leave_to(an__ctx *from, an__ctx *to);
#endif

/* Where a fresh stack begins: takes the argument and the entry off the stack, and has no
 * caller. In ctx-*.S. */
void an__ctx_start(void);

/* Calls fn(arg) on the stack of a parked context, as if its frame had called it: an
 * unwinder in fn goes on from there. The context stays parked. In ctx-*.S. */
void an__ctx_visit(const an__ctx *ctx, void (*fn)(void *arg), void *arg);

/* Sanitizers and -O0 take registers for themselves that the inlined switch needs: there,
 * it has a frame of its own. */
#if defined(AN__STACK_ASAN) || defined(AN__STACK_TSAN) || !defined(__OPTIMIZE__)
#define AN__CTX_INLINE __attribute__((noinline, unused))
#else
#define AN__CTX_INLINE inline __attribute__((always_inline))
#endif

static inline void *an__ctx_sp(const an__ctx *ctx)
{
	return ctx->sp;
}

static inline void an__ctx_save_fenv(an__ctx *ctx)
{
#ifdef __x86_64__
	__asm__ volatile("fnstcw %0" : "=m"(ctx->fcw));
#else
	__asm__ volatile("mrs %0, fpcr" : "=r"(ctx->fpcr));
#endif
}

/* The words above the frame are zero: an unwinder that reads the stack without CFI ends
 * there. */
static inline void an__ctx_make(an__ctx *ctx, void *low, void *top,
				void (*entry)(void *arg), void *arg)
{
	void **sp = (void **)top - 4;

	(void)low;
	sp[0] = arg;
	sp[1] = (void *)entry;
	sp[2] = sp[3] = NULL;
	ctx->sp = sp;
	ctx->pc = (void *)an__ctx_start;
	ctx->fp = NULL;
	an__ctx_save_fenv(ctx);
}

/* A signal may come between the load of the stack pointer and that of the frame pointer,
 * and its handler may ask for a backtrace: there, what called is the context that is
 * switched to, whose pc and fp lie where the second argument points. `sp`: the register
 * with the new stack pointer. Of a parked context unwinders look at the byte before its
 * pc, which must not lie in between: it is the nop's. */
#if defined(__GCC_HAVE_DWARF2_CFI_ASM) && !defined(__ARM_FEATURE_PAC_DEFAULT)
#ifdef __x86_64__
#define AN__CTX_CFI_PC_FP \
	".cfi_escape 0x10, 16, 2, 0x74, 8\n\t" \
	".cfi_escape 0x10, 6, 2, 0x74, 16\n\t"
#else
#define AN__CTX_CFI_PC_FP \
	".cfi_escape 0x10, 30, 2, 0x71, 8\n\t" \
	".cfi_escape 0x10, 29, 2, 0x71, 16\n\t"
#endif
#define AN__CTX_CFI_NEXT(sp) \
	".cfi_remember_state\n\t" \
	".cfi_def_cfa " sp ", 0\n\t" AN__CTX_CFI_PC_FP
#define AN__CTX_CFI_BACK ".cfi_restore_state\n\t"
#else
#define AN__CTX_CFI_NEXT(sp)
#define AN__CTX_CFI_BACK
#endif

#ifdef __x86_64__

/* Sets both units to what the x87's word says. In ctx.c. */
void an__ctx_set_fcw(uint16_t fcw);

static inline __attribute__((always_inline)) void an__ctx_switch_fenv(an__ctx *from,
								      const an__ctx *to)
{
	an__ctx_save_fenv(from);
	if (__builtin_expect(from->fcw != to->fcw, 0))
		an__ctx_set_fcw(to->fcw);
}

#ifdef __AVX512F__
#define AN__CTX_AVX512 \
	"xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", \
		"xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k1", \
		"k2", "k3", "k4", "k5", "k6", "k7",
#else
#define AN__CTX_AVX512
#endif

static AN__CTX_INLINE void an__ctx_switch(an__ctx *from, an__ctx *to)
{
	_Static_assert(offsetof(an__ctx, pc) == 8 && offsetof(an__ctx, fp) == 16,
		       "the offsets below");

	an__ctx_switch_fenv(from, to);
	__asm__ volatile("leaq 1f(%%rip), %%rax\n\t"
			 "movq %%rsp, (%%rdi)\n\t"
			 "movq %%rax, 8(%%rdi)\n\t"
			 "movq %%rbp, 16(%%rdi)\n\t"
			 "movq (%%rsi), %%rsp\n\t"
			 AN__CTX_CFI_NEXT("%%rsp")
			 "jmpq *8(%%rsi)\n\t"
			 AN__CTX_CFI_BACK
			 "nop\n"
			 "1:\t"
			 AN__CTX_CFI_NEXT("%%rsp")
			 "endbr64\n\t"
			 "movq 16(%%rsi), %%rbp\n\t"
			 AN__CTX_CFI_BACK
			 : "+D"(from), "+S"(to)
			 :
			 : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12",
			   "r13", "r14", "r15", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4",
			   "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
			   "xmm12", "xmm13", "xmm14", "xmm15", AN__CTX_AVX512 "memory",
			   "cc");
}

#ifdef AN__CTX_HAS_LEAVE
/* For when the floating-point environments differ. In ctx.c. */
int an__ctx_leave_fenv(an__ctx *from, an__ctx *to);

static inline __attribute__((always_inline)) int an__ctx_leave(an__ctx *from, an__ctx *to)
{
	an__ctx_save_fenv(from);
	if (__builtin_expect(from->fcw != to->fcw, 0))
		return an__ctx_leave_fenv(from, to);
	return an__ctx_leave_to(from, to);
}
#endif

#else

#ifdef AN__CTX_HAS_LEAVE
static inline __attribute__((always_inline)) int an__ctx_leave(an__ctx *from, an__ctx *to)
{
	return an__ctx_leave_to(from, to);
}
#endif

/* Writing fpcr is slow and seldom needed. The landing pad (bti j) is a no-op where the
 * code is not built for BTI. */
static AN__CTX_INLINE void an__ctx_switch(an__ctx *from, an__ctx *to)
{
	_Static_assert(offsetof(an__ctx, pc) == 8 && offsetof(an__ctx, fp) == 16 &&
			       offsetof(an__ctx, fpcr) == 24,
		       "the offsets below");
	register an__ctx *left __asm__("x0") = from;
	register an__ctx *next __asm__("x1") = to;

	__asm__ volatile("mov x2, sp\n\t"
			 "adr x3, 2f\n\t"
			 "mrs x4, fpcr\n\t"
			 "stp x2, x3, [x0]\n\t"
			 "stp x29, x4, [x0, #16]\n\t"
			 "ldp x2, x3, [x1]\n\t"
			 AN__CTX_CFI_NEXT("x2")
			 "ldr x5, [x1, #24]\n\t"
			 "mov sp, x2\n\t"
			 "cmp x4, x5\n\t"
			 "b.eq 1f\n\t"
			 "msr fpcr, x5\n"
			 "1:\tbr x3\n\t"
			 AN__CTX_CFI_BACK
			 "nop\n"
			 "2:\t"
			 AN__CTX_CFI_NEXT("sp")
			 "hint #36\n\t"
			 "ldr x29, [x1, #16]\n\t"
			 AN__CTX_CFI_BACK
			 : "+r"(left), "+r"(next)
			 :
			 : "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11",
			   "x12", "x13", "x14", "x15", "x16", "x17", "x18", "x19", "x20",
			   "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x30",
			   "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9",
			   "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17", "v18",
			   "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27",
			   "v28", "v29", "v30", "v31", "memory", "cc");
}

#endif
#endif
#endif /* __ASSEMBLER__ */
#endif
