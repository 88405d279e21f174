/* The stack pool: sizes, reuse, guards, the overflow report. test-stack-many.c is about
 * numbers and memory. */
#include "loop/core/ctx.h"
#include "loop/core/guard.h"
#include "loop/core/stack.h"

#include "tests/support/child.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

#if defined(AN__STACK_ASAN) || defined(AN__STACK_TSAN)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static void a_stack_can_be_written_from_low_to_top(void **state)
{
	an__stack_pool *pool;
	an__stack *s;

	(void)state;
	assert_int_equal(an__stack_pool_new(64 * KIB, &pool), 0);
	assert_int_equal(an__stack_acquire(pool, 0, &s), 0);
	assert_true(s->top - s->low >= (ptrdiff_t)(63 * KIB));
	assert_int_equal((uintptr_t)s->top % 64, 0);
	memset(s->low, 0xa5, (size_t)(s->top - s->low));
	assert_null(an__stack_release(pool, s));
	assert_null(an__stack_release(pool, NULL));
	assert_null(an__stack_pool_free(pool));
	assert_null(an__stack_pool_free(NULL));
}

static void the_stack_released_last_is_reused_first(void **state)
{
	an__stack_pool *pool;
	an__stack *s[3], *again;

	(void)state;
	assert_int_equal(an__stack_pool_new(0, &pool), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(an__stack_acquire(pool, 0, &s[i]), 0);
	for (int i = 0; i < 3; i++)
		an__stack_release(pool, s[i]);
	for (int i = 2; i >= 0; i--) {
		assert_int_equal(an__stack_acquire(pool, 0, &again), 0);
		assert_ptr_equal(again, s[i]);
	}
	assert_int_equal(an__stack_pool_stats(pool).slabs, 1);
	for (int i = 0; i < 3; i++)
		an__stack_release(pool, s[i]);
	an__stack_pool_free(pool);
}

static void sizes_are_met_and_bounded(void **state)
{
	static const size_t sizes[] = { 1,	   16 * KIB, 17 * KIB, 100 * KIB,
					256 * KIB, MIB,	     5 * MIB,  1024 * MIB };
	an__stack_pool *pool;
	an__stack *s, *t;

	(void)state;
	assert_int_equal(an__stack_pool_new(100 * KIB, &pool), 0);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		assert_int_equal(an__stack_acquire(pool, sizes[i], &s), 0);
		assert_true(s->top - s->low + (ptrdiff_t)KIB >= (ptrdiff_t)sizes[i]);
		s->low[0] = s->top[-1] = 1;
		an__stack_release(pool, s);
		/* It comes back for the same size, unless it is too much to keep. */
		assert_int_equal(an__stack_acquire(pool, sizes[i], &t), 0);
		if (sizes[i] < 64 * MIB)
			assert_ptr_equal(s, t);
		an__stack_release(pool, t);
	}
	assert_int_equal(an__stack_acquire(pool, 1024 * MIB + 1, &s), -EINVAL);
	an__stack_pool_free(pool);
	assert_int_equal(an__stack_pool_new(SIZE_MAX, &pool), -EINVAL);
}

static void tops_are_staggered(void **state)
{
	an__stack_pool *pool;
	an__stack *s[16];
	unsigned seen = 0;

	(void)state;
	assert_int_equal(an__stack_pool_new(64 * KIB, &pool), 0);
	for (int i = 0; i < 16; i++) {
		assert_int_equal(an__stack_acquire(pool, 0, &s[i]), 0);
		seen |= 1u << ((uintptr_t)s[i]->top / 64 % 16);
	}
	assert_int_equal(seen, 0xffff);
	for (int i = 0; i < 16; i++)
		an__stack_release(pool, s[i]);
	an__stack_pool_free(pool);
}

/* ---- guards ---------------------------------------------------------------------- */

static an__stack *watched;

static size_t describe(const void *address, char *buf, size_t cap)
{
	if (!watched || !an__stack_is_guard(watched, address))
		return 0;
	return (size_t)snprintf(buf, cap, "overflow at %td below\n",
				watched->low - (const char *)address);
}

static void touch_guard(void *pool)
{
	if (an__stack_acquire(pool, 0, &watched) < 0 ||
	    an__stack_overflow_enter(describe) < 0)
		_exit(3);
	*(volatile char *)(watched->low - 128) = 1;
}

static void touch_guard_of_a_trimmed_stack(void *pool)
{
	if (an__stack_acquire(pool, 0, &watched) < 0 ||
	    an__stack_overflow_enter(describe) < 0)
		_exit(3);
	madvise(watched->low, (size_t)(watched->top - watched->low) & ~(size_t)4095,
		MADV_DONTNEED);
	*(volatile char *)(watched->low - 128) = 1;
}

static char *volatile unmapped = (char *)16;

static void touch_nothing_of_ours(void *pool)
{
	if (an__stack_acquire(pool, 0, &watched) < 0 ||
	    an__stack_overflow_enter(describe) < 0)
		_exit(3);
	*(volatile char *)unmapped = 1;
}

static volatile size_t depth_reached;

__attribute__((noinline)) static int recurse(int n)
{
	volatile char frame[512];

	frame[0] = (char)n;
	depth_reached++;
	if (depth_reached == SIZE_MAX)
		return 0;
	return recurse(n + 1) + frame[0];
}

static void recursing_entry(void *arg)
{
	(void)arg;
	an__stack_switch_end(NULL, NULL, NULL);
	recurse(0);
	abort();
}

static void recurse_on_a_stack(void *pool)
{
	an__ctx self, task;
	void *fake;

	if (an__stack_acquire(pool, 0, &watched) < 0 ||
	    an__stack_overflow_enter(describe) < 0)
		_exit(3);
	an__ctx_make(&task, watched->low, watched->top, recursing_entry, NULL);
	an__stack_switch_begin(&fake, watched->low,
			       (size_t)(watched->top - watched->low));
	an__ctx_switch(&self, &task);
}

static void former(int sig)
{
	(void)sig;
	_exit(7);
}

static void former_handler(void *pool)
{
	signal(SIGSEGV, former);
	touch_guard(pool);
}

static void left_again(void *pool)
{
	signal(SIGSEGV, former);
	if (an__stack_acquire(pool, 0, &watched) < 0 ||
	    an__stack_overflow_enter(describe) < 0)
		_exit(3);
	an__stack_overflow_leave();
	*(volatile char *)(watched->low - 128) = 1;
}

static void sent_signal(void *pool)
{
	(void)pool;
	if (an__stack_overflow_enter(describe) < 0)
		_exit(3);
	kill(getpid(), SIGSEGV);
}

static void dies(void (*fn)(void *), an__stack_pool *pool, int sig, const char *text)
{
	char said[4096];
	int status = in_child(fn, pool, said, sizeof(said));

	if (!SANITIZED) { /* their own handlers end the process with exit */
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), sig);
	} else {
		assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
	if (text)
		assert_non_null(strstr(said, text));
	else
		assert_null(strstr(said, "overflow at"));
}

static void guards_report(void)
{
	an__stack_pool *pool;

	assert_int_equal(an__stack_pool_new(64 * KIB, &pool), 0);
	dies(touch_guard, pool, SIGSEGV, "overflow at 128 below\n");
	dies(touch_guard_of_a_trimmed_stack, pool, SIGSEGV, "overflow at 128 below\n");
	an__stack_pool_free(pool);
}

static void an_access_below_a_stack_is_reported_and_kills(void **state)
{
	(void)state;
	guards_report();
}

static void guards_by_mprotect_do_the_same(void **state)
{
	(void)state;
	an__guard_force_mprotect(true);
	guards_report();
	an__guard_force_mprotect(false);
}

static void a_runaway_recursion_is_reported_from_the_alternate_stack(void **state)
{
	an__stack_pool *pool;

	(void)state;
	assert_int_equal(an__stack_pool_new(64 * KIB, &pool), 0);
	dies(recurse_on_a_stack, pool, SIGSEGV, "overflow at ");
	an__stack_pool_free(pool);
}

static void other_faults_are_passed_on_in_silence(void **state)
{
	an__stack_pool *pool;
	char said[256];
	int status;

	(void)state;
	assert_int_equal(an__stack_pool_new(64 * KIB, &pool), 0);
	dies(touch_nothing_of_ours, pool, SIGSEGV, NULL);
	dies(sent_signal, pool, SIGSEGV, NULL);
	status = in_child(former_handler, pool, said, sizeof(said));
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	assert_non_null(strstr(said, "overflow at 128 below\n"));
	status = in_child(left_again, pool, said, sizeof(said));
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	assert_string_equal(said, "");
	an__stack_pool_free(pool);
}

static void entering_twice_is_a_misuse_and_leaving_restores(void **state)
{
	struct sigaction before, after;
	stack_t alt_before, alt_after;

	(void)state;
	sigaction(SIGSEGV, NULL, &before);
	sigaltstack(NULL, &alt_before);
	assert_int_equal(an__stack_overflow_enter(describe), 0);
	assert_true(an__stack_overflow_enter(describe) < 0);
	an__stack_overflow_leave();
	an__stack_overflow_leave();
	sigaction(SIGSEGV, NULL, &after);
	sigaltstack(NULL, &alt_after);
	assert_true(before.sa_sigaction == after.sa_sigaction);
	assert_int_equal(alt_before.ss_flags, alt_after.ss_flags);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_stack_can_be_written_from_low_to_top),
	cmocka_unit_test(the_stack_released_last_is_reused_first),
	cmocka_unit_test(sizes_are_met_and_bounded),
	cmocka_unit_test(tops_are_staggered),
	cmocka_unit_test(an_access_below_a_stack_is_reported_and_kills),
	cmocka_unit_test(guards_by_mprotect_do_the_same),
	cmocka_unit_test(a_runaway_recursion_is_reported_from_the_alternate_stack),
	cmocka_unit_test(other_faults_are_passed_on_in_silence),
	cmocka_unit_test(entering_twice_is_a_misuse_and_leaving_restores),
};
TEST_MAIN("stacks", tests)
