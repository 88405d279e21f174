/* What testing.h gives to tests: orders drawn from a seed, a clock moved by hand, a
 * cancellation at each step. Each is also shown a bug that it has to find.
 */
#include "tests/support/run.h"

#include <asyncnet/testing.h>
#include <errno.h>
#include <string.h>

/* ---- orders ------------------------------------------------------------------------ */

#define TASKS 8
#define STEPS 5

static char written[TASKS * STEPS + 1];
static size_t length;

static int writes_its_letter(void *arg)
{
	int r = 0;

	for (int i = 0; r == 0 && i < STEPS; i++) {
		written[length++] = *(const char *)arg;
		r = an_yield();
	}
	return r;
}

static int writes_in_some_order(void *arg)
{
	static const char letters[] = "abcdefgh";
	an_group group;

	(void)arg;
	memset(written, 0, sizeof written);
	length = 0;
	an_group_begin(&group);
	for (int i = 0; i < TASKS; i++)
		CHECK_EQUAL(an_group_spawn(&group, writes_its_letter,
					   (void *)(uintptr_t)&letters[i]),
			    0);
	return an_group_end(&group);
}

static void write_with_seed(uint64_t seed, char *ret)
{
	an_testing_opts opts = { .seed = seed };

	assert_int_equal(an_testing_run(writes_in_some_order, NULL, &opts), 0);
	memcpy(ret, written, sizeof written);
}

static void the_same_seed_gives_the_same_order(void **state)
{
	char first[sizeof written], second[sizeof written];

	(void)state;
	for (uint64_t seed = 1; seed < 20; seed++) {
		write_with_seed(seed, first);
		write_with_seed(seed, second);
		assert_memory_equal(first, second, sizeof first);
	}
}

static void different_seeds_give_different_orders(void **state)
{
	char first[sizeof written], second[sizeof written];

	(void)state;
	write_with_seed(1, first);
	for (uint64_t seed = 2; seed < 20; seed++) {
		write_with_seed(seed, second);
		assert_memory_not_equal(first, second, sizeof first);
	}
}

/* On any machine and in later versions: a seed that was written down stays useful. */
static void an_order_is_the_same_everywhere(void **state)
{
	char order[sizeof written];

	(void)state;
	write_with_seed(1, order);
	assert_string_equal(order, "ffdfggecfdgfdgbhcbbabdaedeebeagaahhccchh");
}

static void without_a_seed_the_first_is_first(void **state)
{
	(void)state;
	assert_int_equal(
		an_run(writes_in_some_order, NULL, &(an_loop_opts){ .no_signals = true }),
		0);
	assert_memory_equal(written, "abcdefghabcdefgh", 16);
}

/* A real clock, too. */
static void a_loop_of_ones_own_takes_a_seed(void **state)
{
	char with_clock[sizeof written];

	(void)state;
	write_with_seed(7, with_clock);
	assert_int_equal(an_run(writes_in_some_order, NULL, &(an_loop_opts){ .seed = 7 }),
			 0);
	assert_string_equal(written, with_clock);
}

static unsigned orders_seen;

static int notes_the_first_three(void *arg)
{
	static const char *const orders[] = { "abc", "acb", "bac", "bca", "cab", "cba" };
	char three[4], *end = three;
	int r = writes_in_some_order(arg);

	for (size_t i = 0; i < length; i++)
		if (written[i] <= 'c' && !memchr(three, written[i], end - three))
			*end++ = written[i];
	*end = '\0';
	for (unsigned i = 0; i < 6; i++)
		if (strcmp(three, orders[i]) == 0)
			orders_seen |= 1u << i;
	return r;
}

static void every_order_comes_up(void **state)
{
	an_testing_opts opts = { .seed = 100, .rounds = 200 };

	(void)state;
	orders_seen = 0;
	assert_int_equal(an_testing_run(notes_the_first_three, NULL, &opts), 0);
	assert_int_equal(orders_seen, 0x3f);
}

/* The order of those who wait for a mutex is that of their coming, whoever runs first. */
static an_mutex mutex;
static int holder;

static int takes_its_turn(void *arg)
{
	int r = an_mutex_lock(&mutex);

	if (r < 0)
		return r;
	CHECK_EQUAL(holder++, (intptr_t)arg);
	return an_mutex_unlock(&mutex);
}

static int come_one_by_one(void *arg)
{
	an_group group;

	(void)arg;
	holder = 0;
	an_mutex_init(&mutex);
	CHECK_EQUAL(an_mutex_lock(&mutex), 0);
	an_group_begin(&group);
	for (intptr_t i = 0; i < 5; i++) {
		CHECK_EQUAL(an_group_spawn(&group, takes_its_turn, (void *)i), 0);
		CHECK_EQUAL(an_testing_settle(), 0);
	}
	CHECK_EQUAL(an_mutex_unlock(&mutex), 0);
	CHECK_EQUAL(an_group_end(&group), 0);
	CHECK_EQUAL(holder, 5);
	return 0;
}

static void first_come_first_served_holds_in_every_order(void **state)
{
	(void)state;
	assert_int_equal(
		an_testing_run(come_one_by_one, NULL, &(an_testing_opts){ .rounds = 50 }),
		0);
}

static int spins_until_told(void *arg)
{
	while (!*(bool *)arg) {
		int r = an_yield();

		if (r < 0)
			return r;
	}
	return 0;
}

static int tells(void *arg)
{
	*(bool *)arg = true;
	return 0;
}

static int one_among_many(void *arg)
{
	bool told = false;
	an_group group;

	(void)arg;
	an_group_begin(&group);
	for (int i = 0; i < 500; i++)
		CHECK_EQUAL(an_group_spawn(&group, spins_until_told, &told), 0);
	CHECK_EQUAL(an_group_spawn(&group, tells, &told), 0);
	return an_group_end(&group);
}

static void nobody_is_passed_over_for_ever(void **state)
{
	(void)state;
	assert_int_equal(
		an_testing_run(one_among_many, NULL, &(an_testing_opts){ .rounds = 5 }),
		0);
}

/* An eager child runs within the spawning call in any order. */
static int eager_children(void *arg)
{
	bool told;

	(void)arg;
	for (int i = 0; i < 10; i++) {
		told = false;
		CHECK_EQUAL(
			an_spawn(tells, &told, &(an_task_opts){ .eager = true }, NULL),
			0);
		CHECK(told);
		CHECK_EQUAL(an_yield(), 0);
	}
	return 0;
}

static void an_eager_child_runs_at_once_all_the_same(void **state)
{
	(void)state;
	assert_int_equal(
		an_testing_run(eager_children, NULL, &(an_testing_opts){ .rounds = 5 }),
		0);
}

/* ---- seeds ------------------------------------------------------------------------- */

/* What is written to stderr until the end, which returns its length. */
static int real_stderr;
static FILE *caught;

static void catch_stderr(void)
{
	fflush(stderr);
	caught = tmpfile();
	assert_non_null(caught);
	real_stderr = dup(STDERR_FILENO);
	dup2(fileno(caught), STDERR_FILENO);
}

static const char *caught_stderr(void)
{
	static char text[1000];
	size_t n;

	fflush(stderr);
	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	rewind(caught);
	n = fread(text, 1, sizeof text - 1, caught);
	text[n] = '\0';
	fclose(caught);
	return text;
}

static int runs;

static int fails_in_the_third_run(void *arg)
{
	(void)arg;
	return ++runs == 3 ? -EIO : 0;
}

static void the_first_failure_ends_the_rounds_and_tells_its_seed(void **state)
{
	const char *told;
	int r;

	(void)state;
	runs = 0;
	setenv("AN_SEED", "1731", 1);
	catch_stderr();
	r = an_testing_run(fails_in_the_third_run, NULL,
			   &(an_testing_opts){ .rounds = 10 });
	told = caught_stderr();
	unsetenv("AN_SEED");
	assert_int_equal(r, -EIO);
	assert_int_equal(runs, 3);
	assert_string_equal(told, "seed 1733: run again with AN_SEED=1733\n");
}

static void a_seed_of_the_options_goes_before_the_environments(void **state)
{
	const char *told;

	(void)state;
	runs = 2;
	setenv("AN_SEED", "1", 1);
	catch_stderr();
	assert_int_equal(an_testing_run(fails_in_the_third_run, NULL,
					&(an_testing_opts){ .seed = 5 }),
			 -EIO);
	told = caught_stderr();
	unsetenv("AN_SEED");
	assert_string_equal(told, "seed 5: run again with an_testing_opts.seed=5\n");
}

static void seeds_pass_over_zero(void **state)
{
	const char *told;

	(void)state;
	runs = 1;
	catch_stderr();
	assert_int_equal(
		an_testing_run(fails_in_the_third_run, NULL,
			       &(an_testing_opts){ .seed = UINT64_MAX, .rounds = 2 }),
		-EIO);
	told = caught_stderr();
	assert_string_equal(told, "seed 1: run again with an_testing_opts.seed=1\n");
}

static int parks_for_ever(void *arg)
{
	an_event never = AN_EVENT_INIT;

	(void)arg;
	return an_event_wait(&never);
}

static void a_run_that_is_stuck_tells_its_seed_too(void **state)
{
	(void)state;
	catch_stderr();
	assert_int_equal(an_testing_run(parks_for_ever, NULL, NULL), AN_ERR_STUCK);
	assert_non_null(strstr(caught_stderr(), ": run again with AN_SEED="));
}

TASK_TEST(it_cannot_run_inside_a_run)
{
	an_testing_scenario s = { .body = parks_for_ever };

	CHECK_EQUAL(an_testing_run(parks_for_ever, NULL, NULL), AN_ERR_MISUSE);
	CHECK_EQUAL(an_testing_cancel_at_each_step(&s, NULL), AN_ERR_MISUSE);
	return 0;
}

/* ---- a bug that one order alone shows ---------------------------------------------- */

/* A wake-up written by hand: between the look at `ready` and the wait, which begins by
 * clearing the event, another task may set it. In the order of their spawning it never
 * does. */
static an_event bell;
static bool ready;

static int waits_carelessly(void *arg)
{
	int r = 0;

	(void)arg;
	if (ready)
		return 0;
	r = an_yield(); /* "only logging" */
	if (r < 0)
		return r;
	an_event_clear(&bell);
	return an_event_wait(&bell);
}

static int makes_ready(void *arg)
{
	(void)arg;
	for (int i = 0; i < 3; i++) {
		int r = an_yield();

		if (r < 0)
			return r;
	}
	ready = true;
	an_event_set(&bell);
	return 0;
}

static int loses_a_wake_up(void *arg)
{
	an_group group;

	(void)arg;
	ready = false;
	an_event_init(&bell);
	an_group_begin(&group);
	CHECK_EQUAL(an_group_spawn(&group, waits_carelessly, NULL), 0);
	CHECK_EQUAL(an_group_spawn(&group, makes_ready, NULL), 0);
	return an_group_end(&group);
}

static void a_lost_wake_up_is_found_by_rounds(void **state)
{
	unsigned long long seed = 0;
	char number[24];
	int r;

	(void)state;
	assert_int_equal(run_in_order(loses_a_wake_up, NULL), 0);
	catch_stderr();
	r = an_testing_run(loses_a_wake_up, NULL, &(an_testing_opts){ .rounds = 500 });
	assert_int_equal(sscanf(caught_stderr(), "seed %llu:", &seed), 1);
	assert_int_equal(r, AN_ERR_STUCK);
	/* And again, with the seed alone. */
	snprintf(number, sizeof number, "%llu", seed);
	setenv("AN_SEED", number, 1);
	catch_stderr();
	r = an_testing_run(loses_a_wake_up, NULL, NULL);
	caught_stderr();
	unsetenv("AN_SEED");
	assert_int_equal(r, AN_ERR_STUCK);
}

/* ---- the clock --------------------------------------------------------------------- */

static int sleeps_a_day(void *arg)
{
	(void)arg;
	CHECK_EQUAL(an_now(), 0);
	CHECK_EQUAL(an_sleep(86400 * AN_SECOND), 0);
	CHECK_EQUAL(an_now(), 86400 * AN_SECOND);
	return 0;
}

static void the_clock_begins_at_zero_and_jumps(void **state)
{
	(void)state;
	assert_int_equal(
		an_testing_run(sleeps_a_day, NULL, &(an_testing_opts){ .rounds = 3 }), 0);
}

static int ticks;

static int ticks_each_second(void *arg)
{
	int r = 0;

	(void)arg;
	while (r == 0) {
		r = an_sleep(AN_SECOND);
		if (r == 0)
			r = an_yield();
		if (r == 0)
			ticks++;
	}
	return r;
}

static int time_by_hand(void *arg)
{
	an_group group;

	(void)arg;
	ticks = 0;
	an_group_begin(&group);
	CHECK_EQUAL(an_group_spawn(&group, ticks_each_second, NULL), 0);
	CHECK_EQUAL(an_testing_advance(AN_SECOND - 1), 0);
	CHECK_EQUAL(ticks, 0);
	CHECK_EQUAL(an_testing_advance(1), 0);
	CHECK_EQUAL(ticks, 1);
	CHECK_EQUAL(an_testing_advance(0), 0);
	CHECK_EQUAL(an_testing_settle(), 0);
	CHECK_EQUAL(ticks, 1);
	CHECK_EQUAL(an_testing_advance(10 * AN_SECOND), 0);
	CHECK_EQUAL(ticks, 11);
	CHECK_EQUAL(an_now(), 11 * AN_SECOND);
	an_group_cancel(&group);
	return an_group_end(&group);
}

static void time_that_is_let_pass_has_its_effects(void **state)
{
	(void)state;
	assert_int_equal(
		an_testing_run(time_by_hand, NULL, &(an_testing_opts){ .rounds = 50 }),
		0);
}

static int settling_tasks(void *arg)
{
	an_timeout limit;
	an_group group;

	(void)arg;
	an_group_begin(&group);
	for (int i = 0; i < 3; i++)
		CHECK_EQUAL(an_group_spawn(&group, come_one_by_one, NULL), 0);
	an_group_cancel(&group);
	CHECK_EQUAL(an_testing_settle(), -ECANCELED);
	CHECK_EQUAL(an_group_end(&group), 0);
	an_timeout_begin(&limit, AN_SECOND);
	CHECK_EQUAL(an_timeout_end(&limit, an_testing_advance(2 * AN_SECOND)),
		    -ETIMEDOUT);
	CHECK_EQUAL(an_now(), AN_SECOND);
	return 0;
}

static void to_settle_and_to_advance_can_be_cancelled(void **state)
{
	(void)state;
	assert_int_equal(an_testing_run(settling_tasks, NULL, NULL), 0);
}

static int cannot_settle(void *arg)
{
	(void)arg;
	CHECK_EQUAL(an_testing_settle(), AN_ERR_MISUSE);
	CHECK_EQUAL(an_testing_advance(1), AN_ERR_MISUSE);
	return 0;
}

static void a_real_clock_cannot_be_moved(void **state)
{
	(void)state;
	assert_int_equal(an_run(cannot_settle, NULL, NULL), 0);
	assert_int_equal(an_testing_settle(), AN_ERR_NO_TASK);
	assert_int_equal(an_testing_advance(1), AN_ERR_NO_TASK);
}

/* ---- cancelled at each step -------------------------------------------------------- */

/* A baton, handed from one to the next through a queue of one. */
static an_queue baton;
static an_group runners;
static int cancellations, completions;

static int passes_it_on(void *arg)
{
	void *item;
	int r = an_queue_get(&baton, &item);

	(void)arg;
	if (r < 0)
		return r;
	r = an_sleep(1);
	CHECK_EQUAL(an_queue_tryput(&baton, item), 0);
	return r;
}

/* The mistake: who is cancelled while holding it drops it. */
static int drops_it_when_cancelled(void *arg)
{
	void *item;
	int r = an_queue_get(&baton, &item);

	(void)arg;
	if (r < 0)
		return r;
	r = an_sleep(1);
	if (r < 0)
		return r;
	CHECK_EQUAL(an_queue_tryput(&baton, item), 0);
	return r;
}

static int starts_the_race(void *arg)
{
	(void)arg;
	an_queue_done(&baton); /* of a run that was stuck */
	an_queue_init(&baton, 1);
	an_group_begin(&runners);
	CHECK_EQUAL(an_group_spawn(&runners, passes_it_on, NULL), 0);
	CHECK_EQUAL(an_group_spawn(&runners, passes_it_on, NULL), 0);
	return an_queue_tryput(&baton, &baton);
}

static int finds_the_baton(void *arg)
{
	void *item;
	int r = passes_it_on(arg);

	CHECK_EQUAL(an_group_end(&runners), 0);
	CHECK_EQUAL(an_queue_tryget(&baton, &item), 0);
	an_queue_done(&baton);
	return r;
}

static int counts_its_ends(void *arg)
{
	int r = passes_it_on(arg);

	if (r < 0)
		cancellations++;
	else
		completions++;
	return r;
}

static void a_body_is_cancelled_at_every_step_until_it_ends(void **state)
{
	an_testing_scenario s = { starts_the_race, counts_its_ends, finds_the_baton,
				  NULL };

	(void)state;
	cancellations = completions = 0;
	assert_int_equal(an_testing_cancel_at_each_step(&s, NULL), 0);
	/* Waiting in line, at each of the others' steps; then with the baton. */
	assert_in_range(cancellations, 3, 20);
	/* By itself, and where the cancellation came too late to be seen. */
	assert_in_range(completions, 1, 3);
}

static void a_mistake_under_cancellation_is_found(void **state)
{
	an_testing_scenario s = { starts_the_race, drops_it_when_cancelled,
				  finds_the_baton, NULL };
	const char *told;
	int r;

	(void)state;
	catch_stderr();
	r = an_testing_cancel_at_each_step(&s, NULL);
	told = caught_stderr();
	assert_int_equal(r, AN_ERR_STUCK);
	assert_non_null(strstr(told, "\ncancelled after step "));
}

static void it_is_found_in_other_orders_too(void **state)
{
	an_testing_scenario s = { starts_the_race, drops_it_when_cancelled,
				  finds_the_baton, NULL };
	const char *told;
	int r;

	(void)state;
	for (uint64_t seed = 1; seed < 20; seed++) {
		catch_stderr();
		r = an_testing_cancel_at_each_step(&s,
						   &(an_testing_opts){ .seed = seed });
		told = caught_stderr();
		assert_int_equal(r, AN_ERR_STUCK);
		assert_non_null(strstr(told, "\nseed "));
	}
	s.body = passes_it_on;
	assert_int_equal(
		an_testing_cancel_at_each_step(&s, &(an_testing_opts){ .rounds = 30 }),
		0);
}

static int swallows(void *arg)
{
	(void)arg;
	return an_sleep(1) < 0 ? -EIO : 0;
}

static int is_wrong(void *arg)
{
	(void)arg;
	return -EPROTO;
}

static int scenario(an_task_fn prepare, an_task_fn body, an_task_fn check)
{
	an_testing_scenario s = { prepare, body, check, NULL };
	int r;

	catch_stderr();
	r = an_testing_cancel_at_each_step(&s, NULL);
	caught_stderr();
	return r;
}

static int yields(void *arg)
{
	(void)arg;
	return an_yield();
}

static int claims_to_be_cancelled(void *arg)
{
	(void)arg;
	return -ECANCELED;
}

static void what_goes_wrong_is_returned(void **state)
{
	(void)state;
	assert_int_equal(scenario(NULL, yields, NULL), 0);
	assert_int_equal(scenario(NULL, NULL, NULL), -EINVAL);
	assert_int_equal(scenario(is_wrong, yields, NULL), -EPROTO);
	assert_int_equal(scenario(NULL, yields, is_wrong), -EPROTO);
	assert_int_equal(scenario(NULL, swallows, NULL), -EIO);
	assert_int_equal(scenario(NULL, claims_to_be_cancelled, NULL), -ECANCELED);
	assert_int_equal(scenario(NULL, parks_for_ever, NULL), AN_ERR_STUCK);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(the_same_seed_gives_the_same_order),
	cmocka_unit_test(different_seeds_give_different_orders),
	cmocka_unit_test(an_order_is_the_same_everywhere),
	cmocka_unit_test(without_a_seed_the_first_is_first),
	cmocka_unit_test(a_loop_of_ones_own_takes_a_seed),
	cmocka_unit_test(every_order_comes_up),
	cmocka_unit_test(first_come_first_served_holds_in_every_order),
	cmocka_unit_test(nobody_is_passed_over_for_ever),
	cmocka_unit_test(an_eager_child_runs_at_once_all_the_same),
	cmocka_unit_test(the_first_failure_ends_the_rounds_and_tells_its_seed),
	cmocka_unit_test(a_seed_of_the_options_goes_before_the_environments),
	cmocka_unit_test(seeds_pass_over_zero),
	cmocka_unit_test(a_run_that_is_stuck_tells_its_seed_too),
	cmocka_unit_test(it_cannot_run_inside_a_run),
	cmocka_unit_test(a_lost_wake_up_is_found_by_rounds),
	cmocka_unit_test(the_clock_begins_at_zero_and_jumps),
	cmocka_unit_test(time_that_is_let_pass_has_its_effects),
	cmocka_unit_test(to_settle_and_to_advance_can_be_cancelled),
	cmocka_unit_test(a_real_clock_cannot_be_moved),
	cmocka_unit_test(a_body_is_cancelled_at_every_step_until_it_ends),
	cmocka_unit_test(a_mistake_under_cancellation_is_found),
	cmocka_unit_test(it_is_found_in_other_orders_too),
	cmocka_unit_test(what_goes_wrong_is_returned),
};
TEST_MAIN("testing", tests)
