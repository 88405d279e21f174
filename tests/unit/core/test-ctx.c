/* The stack switch: registers, control words, alignment, many switches. */
#include "loop/core/ctx.h"
#include "loop/core/stack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fenv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#endif

#define STACK ((size_t)256 << 10)

/* Two contexts that hand the processor to and fro, with the sanitizers told. */
struct pair {
	an__ctx main, task;
	an__stack *stack;
	const void *main_low;
	size_t main_size;
	void *main_fake, *task_fake;
	void (*body)(struct pair *p);
	int seen;
};

static an__stack_pool *pool;

static void to_main(struct pair *p, void **fake)
{
	an__stack_switch_begin(fake, p->main_low, p->main_size);
	an__ctx_switch(&p->task, &p->main);
	an__stack_switch_end(p->task_fake, NULL, NULL);
}

static void to_task(struct pair *p)
{
	an__stack_switch_begin(&p->main_fake, p->stack->low,
			       (size_t)(p->stack->top - p->stack->low));
	an__ctx_switch(&p->main, &p->task);
	an__stack_switch_end(p->main_fake, NULL, NULL);
}

static void entry(void *arg)
{
	struct pair *p = arg;

	an__stack_switch_end(NULL, &p->main_low, &p->main_size);
	p->body(p);
	p->seen = -1;
	to_main(p, NULL);
	abort();
}

static void pair_init(struct pair *p, void (*body)(struct pair *p))
{
	*p = (struct pair){ .body = body };
	assert_int_equal(an__stack_acquire(pool, STACK, &p->stack), 0);
	an__ctx_make(&p->task, p->stack->low, p->stack->top, entry, p);
}

static void pair_done(struct pair *p)
{
	assert_int_equal(p->seen, -1);
	an__stack_release(pool, p->stack);
}

static void count_to_three(struct pair *p)
{
	for (int i = 1; i <= 3; i++) {
		p->seen = i;
		to_main(p, &p->task_fake);
	}
}

static void a_context_runs_on_from_where_it_left(void **state)
{
	struct pair p;

	(void)state;
	pair_init(&p, count_to_three);
	for (int i = 1; i <= 3; i++) {
		to_task(&p);
		assert_int_equal(p.seen, i);
	}
	to_task(&p);
	pair_done(&p);
}

static void check_alignment(struct pair *p)
{
	_Alignas(16) volatile char local[16];
	char text[64];

	local[0] = 1;
	/* Vector code of printf and the like faults on a wrongly aligned stack. */
	snprintf(text, sizeof(text), "%.3Lf %.2f", (long double)1.5, 2.25);
	p->seen = (uintptr_t)local % 16 == 0 && !strcmp(text, "1.500 2.25");
	to_main(p, &p->task_fake);
}

static void the_stack_is_aligned_as_the_abi_says(void **state)
{
	struct pair p;

	(void)state;
	pair_init(&p, check_alignment);
	to_task(&p);
	assert_int_equal(p.seen, 1);
	to_task(&p);
	pair_done(&p);
}

/* The inlined switch with a name that assembly can call. */
void switch_between(an__ctx *from, an__ctx *to);
__attribute__((noinline, used)) void switch_between(an__ctx *from, an__ctx *to)
{
	an__ctx_switch(from, to);
}

#if !defined(AN_CONTEXT_UCONTEXT) && defined(__x86_64__)
/* Puts `seed` into each callee-saved register, switches, and adds up what is in them
 * after. */
static uint64_t registers_across(an__ctx *from, an__ctx *to, uint64_t seed)
{
	uint64_t sum;

	__asm__ volatile("movq %[seed], %%rbx\n\t"
			 "leaq 1(%[seed]), %%r12\n\t"
			 "leaq 2(%[seed]), %%r13\n\t"
			 "leaq 3(%[seed]), %%r14\n\t"
			 "leaq 4(%[seed]), %%r15\n\t"
			 "addq $-128, %%rsp\n\t" /* the red zone */
			 "call switch_between\n\t"
			 "subq $-128, %%rsp\n\t"
			 "leaq (%%rbx, %%r12), %%rax\n\t"
			 "addq %%r13, %%rax\n\t"
			 "addq %%r14, %%rax\n\t"
			 "addq %%r15, %%rax\n\t"
			 : "=&a"(sum), "+D"(from), "+S"(to), [seed] "+d"(seed)
			 :
			 : "rbx", "rcx", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
			   "r15", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4",
			   "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
			   "xmm12", "xmm13", "xmm14", "xmm15");
	return sum;
}
#elif !defined(AN_CONTEXT_UCONTEXT) && defined(__aarch64__)
static uint64_t registers_across(an__ctx *from, an__ctx *to, uint64_t seed)
{
	register an__ctx *x0 __asm__("x0") = from;
	register an__ctx *x1 __asm__("x1") = to;
	register uint64_t x2 __asm__("x2") = seed;
	register uint64_t sum __asm__("x3");

	__asm__ volatile("mov x19, x2\n\tadd x20, x2, #1\n\tadd x21, x2, #2\n\t"
			 "add x22, x2, #3\n\tadd x23, x2, #4\n\tadd x24, x2, #5\n\t"
			 "add x25, x2, #6\n\tadd x26, x2, #7\n\tadd x27, x2, #8\n\t"
			 "add x28, x2, #9\n\tscvtf d8, x19\n\tscvtf d9, x20\n\t"
			 "scvtf d10, x21\n\tscvtf d11, x22\n\tscvtf d12, x23\n\t"
			 "scvtf d13, x24\n\tscvtf d14, x25\n\tscvtf d15, x26\n\t"
			 "bl switch_between\n\t"
			 "fadd d8, d8, d9\n\tfadd d8, d8, d10\n\tfadd d8, d8, d11\n\t"
			 "fadd d8, d8, d12\n\tfadd d8, d8, d13\n\tfadd d8, d8, d14\n\t"
			 "fadd d8, d8, d15\n\tfcvtzu x3, d8\n\t"
			 "add x3, x3, x19\n\tadd x3, x3, x20\n\tadd x3, x3, x21\n\t"
			 "add x3, x3, x22\n\tadd x3, x3, x23\n\tadd x3, x3, x24\n\t"
			 "add x3, x3, x25\n\tadd x3, x3, x26\n\tadd x3, x3, x27\n\t"
			 "add x3, x3, x28\n\t"
			 : "=r"(sum), "+r"(x0), "+r"(x1), "+r"(x2)
			 :
			 : "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13",
			   "x14", "x15", "x16", "x17", "x19", "x20", "x21", "x22", "x23",
			   "x24", "x25", "x26", "x27", "x28", "x30", "d8", "d9", "d10",
			   "d11", "d12", "d13", "d14", "d15", "memory", "cc");
	return sum;
}
#else
static uint64_t registers_across(an__ctx *from, an__ctx *to, uint64_t seed)
{
	an__ctx_switch(from, to);
	return 5 * seed + 10;
}
#endif

#if !defined(AN_CONTEXT_UCONTEXT) && defined(__aarch64__)
#define SUM(seed) (10 * (seed) + 45 + 8 * (seed) + 28)
#else
#define SUM(seed) (5 * (seed) + 10)
#endif

static void registers_body(struct pair *p)
{
	an__stack_switch_begin(&p->task_fake, p->main_low, p->main_size);
	p->seen = registers_across(&p->task, &p->main, 1000) == SUM(1000);
	an__stack_switch_end(p->task_fake, NULL, NULL);
	to_main(p, &p->task_fake);
}

static void callee_saved_registers_are_kept_on_both_sides(void **state)
{
	struct pair p;
	uint64_t sum;

	(void)state;
	pair_init(&p, registers_body);
	to_task(&p);
	an__stack_switch_begin(&p.main_fake, p.stack->low,
			       (size_t)(p.stack->top - p.stack->low));
	sum = registers_across(&p.main, &p.task, 7000);
	an__stack_switch_end(p.main_fake, NULL, NULL);
	assert_int_equal(sum, SUM(7000));
	assert_int_equal(p.seen, 1);
	to_task(&p);
	pair_done(&p);
}

/* x/3 and -x/3 differ in magnitude under a directed rounding alone: double shows the
 * vector unit's mode, long double the x87's. */
static bool rounds_up(void)
{
	volatile double one = 1, three = 3, up = one / three, down = -one / three;
	volatile long double lone = 1, lthree = 3, lup = lone / lthree,
			     ldown = -lone / lthree;

	/* valgrind rounds as it likes. */
	return RUNNING_ON_VALGRIND ||
	       (up > -down && lup > -ldown && fegetround() == FE_UPWARD);
}

static void rounding_body(struct pair *p)
{
	p->seen = fegetround() == FE_TONEAREST;
	fesetround(FE_UPWARD);
	to_main(p, &p->task_fake);
	p->seen = rounds_up();
	to_main(p, &p->task_fake);
}

static void floating_point_control_words_are_kept(void **state)
{
	struct pair p;

	(void)state;
	fesetround(FE_TONEAREST);
	pair_init(&p, rounding_body);
	to_task(&p);
	assert_int_equal(p.seen, 1);
	assert_int_equal(fegetround(), FE_TONEAREST);
	fesetround(FE_DOWNWARD);
	to_task(&p);
	assert_int_equal(fegetround(), FE_DOWNWARD);
	fesetround(FE_TONEAREST);
	assert_int_equal(p.seen, 1);
	to_task(&p);
	pair_done(&p);
}

#define MANY 100
#define ROUNDS 1000

static void spin(struct pair *p)
{
	for (int i = 0; i < ROUNDS; i++) {
		p->seen++;
		to_main(p, &p->task_fake);
	}
}

static void a_hundred_contexts_take_turns(void **state)
{
	static struct pair many[MANY];

	(void)state;
	for (int i = 0; i < MANY; i++)
		pair_init(&many[i], spin);
	for (int r = 1; r <= ROUNDS; r++)
		for (int i = 0; i < MANY; i++)
			to_task(&many[i]);
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(many[i].seen, ROUNDS);
		to_task(&many[i]);
		pair_done(&many[i]);
	}
}

static int setup(void **state)
{
	(void)state;
	return an__stack_pool_new(STACK, &pool);
}

static int teardown(void **state)
{
	(void)state;
	an__stack_pool_free(pool);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_context_runs_on_from_where_it_left),
		cmocka_unit_test(the_stack_is_aligned_as_the_abi_says),
		cmocka_unit_test(callee_saved_registers_are_kept_on_both_sides),
		cmocka_unit_test(floating_point_control_words_are_kept),
		cmocka_unit_test(a_hundred_contexts_take_turns),
	};

	alarm(60);
	return cmocka_run_group_tests(tests, setup, teardown);
}
