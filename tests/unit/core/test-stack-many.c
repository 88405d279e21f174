/* The stack pool in large numbers: a million guards, the limit of those by mprotect, what
 * parked stacks cost, and how memory comes back. */
#include "loop/core/guard.h"
#include "loop/core/stack.h"

#include "tests/support/child.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

#if defined(AN__STACK_ASAN) || defined(AN__STACK_TSAN)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

#define SKIP_BECAUSE(reason) \
	do { \
		print_message("# skipped: " reason "\n"); \
		skip(); \
	} while (0)

/* Under valgrind, a sanitizer or an emulator memory and time are not ours to judge. */
static bool watched(void)
{
	return SANITIZED || getenv("AN_TEST_SLOWNESS");
}

/* A field of /proc/self/status or /proc/meminfo, in bytes; 0 when there is none. */
static size_t proc_field(const char *file, const char *field)
{
	char line[256];
	size_t kib = 0;
	FILE *f = fopen(file, "r");

	assert_non_null(f);
	while (fgets(line, sizeof line, f))
		if (!strncmp(line, field, strlen(field)))
			kib = strtoul(line + strlen(field), NULL, 10);
	fclose(f);
	return kib * KIB;
}

/* With the page tables. */
static size_t resident(void)
{
	return proc_field("/proc/self/status", "VmRSS:") +
	       proc_field("/proc/self/status", "VmPTE:");
}

static size_t maps(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	size_t lines = 0;
	int c;

	assert_non_null(f);
	while ((c = getc(f)) != EOF)
		lines += c == '\n';
	fclose(f);
	return lines;
}

/* Whether the page below the stack refuses an access: the kernel says so without a
 * fault. */
static bool is_guarded(const an__stack *s)
{
	return uname((struct utsname *)(void *)(s->low - 4 * KIB)) < 0 && errno == EFAULT;
}

static void acquire_all(an__stack_pool *pool, an__stack **all, size_t many, size_t touch)
{
	for (size_t i = 0; i < many; i++) {
		assert_int_equal(an__stack_acquire(pool, 0, &all[i]), 0);
		memset(all[i]->top - touch, 1, touch);
	}
}

static void release_all(an__stack_pool *pool, an__stack **all, size_t many)
{
	for (size_t i = 0; i < many; i++)
		an__stack_release(pool, all[i]);
}

/* ---- guards ---------------------------------------------------------------------- */

static void a_million_stacks_have_a_guard_each(void **state)
{
	const size_t many = 1000000;
	an__stack_pool *pool;
	an__stack **all;
	size_t maps_before = maps(), without = 0;

	(void)state;
	if (watched())
		SKIP_BECAUSE("too slow here");
	if (an__guard_by_mprotect())
		SKIP_BECAUSE("this kernel has no MADV_GUARD_INSTALL (Linux 6.13)");
	if (proc_field("/proc/meminfo", "MemAvailable:") < 1024 * MIB)
		SKIP_BECAUSE("less than 1 GiB of memory");
	all = calloc(many, sizeof *all);
	assert_non_null(all);
	assert_int_equal(an__stack_pool_new(64 * KIB, &pool), 0);
	acquire_all(pool, all, many, 0);
	for (size_t i = 0; i < many; i++)
		without += !is_guarded(all[i]);
	assert_int_equal(without, 0);
	assert_int_equal(an__stack_pool_stats(pool).in_use, many);
	assert_in_range(maps() - maps_before, 1, an__stack_pool_stats(pool).slabs + 8);
	release_all(pool, all, many);
	assert_int_equal(an__stack_pool_stats(pool).in_use, 0);
	an__stack_pool_free(pool);
	free(all);
}

static void guards_by_mprotect_end_before_the_maps_do(void **state)
{
	size_t limit = an__guard_limit(), many = 0;
	an__stack_pool *pool, *other;
	an__stack **all, *s = NULL;

	(void)state;
	if (watched())
		SKIP_BECAUSE("too slow here");
	if (limit > 300000)
		SKIP_BECAUSE("vm.max_map_count is too large to be used up quickly");
	all = calloc(limit + 1, sizeof *all);
	assert_non_null(all);
	an__guard_force_mprotect(true);
	assert_int_equal(an__stack_pool_new(16 * KIB, &pool), 0);
	assert_int_equal(an__stack_pool_new(16 * KIB, &other), 0);
	an__guard_force_mprotect(false);
	while (many <= limit && !an__stack_acquire(pool, 0, &all[many]))
		many++;
	assert_int_equal(many, limit);
	assert_int_equal(an__stack_acquire(pool, 0, &s), -ENOMEM);
	assert_int_equal(an__stack_acquire(pool, MIB, &s), -ENOMEM);
	assert_int_equal(an__stack_acquire(other, 0, &s), -ENOMEM);
	assert_null(s);
	assert_int_equal(an__stack_pool_stats(pool).in_use, many);
	assert_true(is_guarded(all[0]) && is_guarded(all[many - 1]));
	/* What is free serves, here; what is unmapped, anywhere. */
	an__stack_release(pool, all[0]);
	assert_int_equal(an__stack_acquire(other, 0, &s), -ENOMEM);
	assert_int_equal(an__stack_acquire(pool, 0, &s), 0);
	assert_ptr_equal(s, all[0]);
	release_all(pool, all, many);
	an__stack_pool_free(pool);
	assert_int_equal(an__stack_acquire(other, 0, &s), 0);
	assert_true(is_guarded(s));
	an__stack_release(other, s);
	an__stack_pool_free(other);
	free(all);
}

/* ---- memory ---------------------------------------------------------------------- */

static void a_parked_stack_costs_a_page_and_little_more(void **state)
{
	const size_t many = 100000;
	an__stack_pool *pool;
	an__stack **all;
	size_t before;

	(void)state;
	if (watched())
		SKIP_BECAUSE("memory cannot be judged here");
	if (an__guard_by_mprotect())
		SKIP_BECAUSE("this kernel has no MADV_GUARD_INSTALL (Linux 6.13)");
	all = malloc(many * sizeof *all);
	assert_non_null(all);
	memset(all, 1, many * sizeof *all);
	assert_int_equal(an__stack_pool_new(64 * KIB, &pool), 0);
	before = resident();
	acquire_all(pool, all, many, KIB);
	/* 4.4 KiB of a sleeping task, page tables and the pool's own memory counted */
	assert_in_range((resident() - before) / many, 4096, 4400);
	release_all(pool, all, many);
	an__stack_pool_free(pool);
	free(all);
}

static void idle_memory_above_the_high_water_mark_is_given_back(void **state)
{
	const size_t many = 4000;
	an__stack **all;
	an__stack_pool *pool;
	an__stack_stats st;
	size_t full;

	(void)state;
#ifdef AN__STACK_TSAN
	SKIP_BECAUSE("each fibre costs TSan milliseconds");
#endif
	all = calloc(many, sizeof *all);
	assert_non_null(all);
	assert_int_equal(an__stack_pool_new(64 * KIB, &pool), 0);
	acquire_all(pool, all, many, 16 * KIB);
	full = resident();
	/* Every fourth stays: slabs can be trimmed, not unmapped. */
	for (size_t i = 0; i < many; i++)
		if (i % 4)
			an__stack_release(pool, all[i]);
	st = an__stack_pool_stats(pool);
	assert_int_equal(st.in_use, many / 4);
	assert_true(st.cold > many / 4);
	assert_true(st.warm * 80 * KIB <= 128 * MIB);
	if (!SANITIZED)
		assert_true(full - resident() > 20 * MIB);
	/* Trimmed stacks are as good as new ones. */
	for (size_t i = 0; i < many; i++)
		if (i % 4) {
			assert_int_equal(an__stack_acquire(pool, 0, &all[i]), 0);
			memset(all[i]->low, 2, (size_t)(all[i]->top - all[i]->low));
		}
	st = an__stack_pool_stats(pool);
	assert_int_equal(st.in_use, many);
	assert_int_equal(st.cold, 0);
	release_all(pool, all, many);
	/* Whole slabs went. */
	assert_true(an__stack_pool_stats(pool).slabs < st.slabs);
	assert_true(an__stack_pool_stats(pool).warm * 80 * KIB <= 128 * MIB);
	an__stack_pool_free(pool);
	free(all);
}

/* ---- what is idle for long ------------------------------------------------------- */

static void count_up(void *arg)
{
	++*(int *)arg;
}

/* A whole round, as an owner makes it. */
static enum an__stack_trim trim_round(an__stack_pool *pool)
{
	enum an__stack_trim r;

	do
		r = an__stack_pool_trim(pool);
	while (r == AN__STACK_TRIM_MORE);
	return r;
}

static void stacks_that_are_idle_for_long_are_given_back(void **state)
{
	enum { many = 1000 };
	an__stack *all[many];
	an__stack_pool *pool;
	size_t warm, full;
	int asked = 0, rounds = 1;

	(void)state;
	assert_int_equal(an__stack_pool_new(64 * KIB, &pool), 0);
	an__stack_pool_on_idle(pool, count_up, &asked);
	acquire_all(pool, all, many, 32 * KIB);
	full = resident();
	assert_int_equal(asked, 0);
	release_all(pool, all, many);
	assert_int_equal(asked, 1);
	assert_int_equal(an__stack_pool_stats(pool).warm, many);
	/* One was warm at least since the pool asked; then half of all in each round. */
	assert_int_equal(trim_round(pool), AN__STACK_TRIM_LATER);
	warm = an__stack_pool_stats(pool).warm;
	assert_in_range(warm, many / 2, many - 1);
	while (trim_round(pool) == AN__STACK_TRIM_LATER)
		rounds++;
	assert_in_range(rounds, 2, 16);
	assert_int_equal(an__stack_pool_stats(pool).warm, 0);
	assert_int_equal(an__stack_pool_stats(pool).slabs, 0);
	if (!SANITIZED)
		assert_true(full - resident() > (many - 64) * 32 * KIB);
	/* The next burst asks anew, and gets good stacks. */
	acquire_all(pool, all, many, 32 * KIB);
	release_all(pool, all, many);
	assert_int_equal(asked, 2);
	an__stack_pool_free(pool);
}

static void stacks_that_are_in_demand_stay_warm(void **state)
{
	enum { many = 400 };
	an__stack *all[many];
	an__stack_pool *pool;
	int asked = 0;

	(void)state;
	assert_int_equal(an__stack_pool_new(64 * KIB, &pool), 0);
	an__stack_pool_on_idle(pool, count_up, &asked);
	acquire_all(pool, all, many, 0);
	release_all(pool, all, many);
	trim_round(pool);
	for (int round = 0; round < 20; round++) {
		acquire_all(pool, all, many, 0);
		release_all(pool, all, many);
		assert_int_equal(trim_round(pool), AN__STACK_TRIM_LATER);
		assert_int_equal(an__stack_pool_stats(pool).warm, many);
	}
	assert_int_equal(asked, 1);
	an__stack_pool_free(pool);
}

static void one_call_of_a_trim_gives_back_a_bounded_number(void **state)
{
	enum { many = 1500 };
	an__stack *all[many];
	an__stack_pool *pool;
	size_t warm;
	int calls = 0;

	(void)state;
	assert_int_equal(an__stack_pool_new(64 * KIB, &pool), 0);
	acquire_all(pool, all, many, 0);
	/* Every other one stays, so that no slab can go as a whole. */
	for (int i = 0; i < many; i += 2)
		an__stack_release(pool, all[i]);
	assert_int_equal(trim_round(pool), AN__STACK_TRIM_LATER);
	warm = an__stack_pool_stats(pool).warm;
	while (an__stack_pool_trim(pool) == AN__STACK_TRIM_MORE) {
		assert_in_range(warm - an__stack_pool_stats(pool).warm, 1, 128);
		warm = an__stack_pool_stats(pool).warm;
		calls++;
	}
	assert_in_range(calls, 2, 3);
	for (int i = 1; i < many; i += 2)
		an__stack_release(pool, all[i]);
	an__stack_pool_free(pool);
}

/* ---- shortage -------------------------------------------------------------------- */

enum { SURVIVED = 42, NO_LIMIT_HERE = 43 };

/* Emulators take the limit and do not heed it. */
static void acquire_until_nothing_is_left(void *pool)
{
	struct rlimit limit;
	an__stack *s, *first = NULL;
	size_t n = 0;
	int r;

	getrlimit(RLIMIT_AS, &limit);
	limit.rlim_cur = 256 * MIB;
	setrlimit(RLIMIT_AS, &limit);
	if (mmap(NULL, 512 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		 -1, 0) != MAP_FAILED)
		_exit(NO_LIMIT_HERE);
	while (!(r = an__stack_acquire(pool, MIB, &s))) {
		s->top[-1] = 1;
		if (!first)
			first = s;
		n++;
	}
	if (r != -ENOMEM || !n || n > 256)
		_exit(3);
	/* The pool works on with what it has. */
	if (an__stack_pool_stats(pool).in_use != n)
		_exit(4);
	an__stack_release(pool, first);
	if (an__stack_acquire(pool, MIB, &s) || s != first)
		_exit(5);
	_exit(SURVIVED);
}

static void out_of_memory_is_an_error_and_the_pool_stays_whole(void **state)
{
	an__stack_pool *pool;
	char said[256];
	int status;

	(void)state;
	if (SANITIZED)
		SKIP_BECAUSE("sanitizers need address space of their own");
	assert_int_equal(an__stack_pool_new(64 * KIB, &pool), 0);
	status = in_child(acquire_until_nothing_is_left, pool, said, sizeof said);
	an__stack_pool_free(pool);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == NO_LIMIT_HERE)
		SKIP_BECAUSE("RLIMIT_AS limits nothing here");
	assert_int_equal(WEXITSTATUS(status), SURVIVED);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_million_stacks_have_a_guard_each),
	cmocka_unit_test(guards_by_mprotect_end_before_the_maps_do),
	cmocka_unit_test(a_parked_stack_costs_a_page_and_little_more),
	cmocka_unit_test(idle_memory_above_the_high_water_mark_is_given_back),
	cmocka_unit_test(stacks_that_are_idle_for_long_are_given_back),
	cmocka_unit_test(stacks_that_are_in_demand_stay_warm),
	cmocka_unit_test(one_call_of_a_trim_gives_back_a_bounded_number),
	cmocka_unit_test(out_of_memory_is_an_error_and_the_pool_stays_whole),
};
TEST_MAIN("many stacks", tests)
