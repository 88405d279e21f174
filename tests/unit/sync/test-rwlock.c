/* The read-write lock. */
#include "tests/support/run.h"

#include <errno.h>
#include <string.h>

static an_rwlock lock;
static int readers, writers;
static char order[64];

static int inside(char kind)
{
	CHECK(!(readers && writers));
	CHECK(writers <= 1);
	strncat(order, &kind, 1);
	return 0;
}

static int reads(void *arg)
{
	int r = an_rwlock_read(&lock);

	if (arg)
		*(int *)arg = r;
	if (r < 0)
		return r;
	readers++;
	CHECK_EQUAL(inside('r'), 0);
	r = an_sleep(AN_SECOND);
	readers--;
	CHECK_EQUAL(an_rwlock_unlock(&lock), 0);
	return r;
}

static int writes(void *arg)
{
	int r = an_rwlock_write(&lock);

	if (arg)
		*(int *)arg = r;
	if (r < 0)
		return r;
	writers++;
	CHECK_EQUAL(inside('w'), 0);
	r = an_sleep(AN_SECOND);
	writers--;
	CHECK_EQUAL(an_rwlock_unlock(&lock), 0);
	return r;
}

static void start(void)
{
	an_rwlock_init(&lock);
	readers = writers = 0;
	order[0] = '\0';
}

/* One task for each letter, r or w. */
static int run_all(const char *who)
{
	an_group group;

	start();
	an_group_begin(&group);
	for (; *who; who++)
		CHECK_EQUAL(an_group_spawn(&group, *who == 'r' ? reads : writes, NULL),
			    0);
	return an_group_end(&group);
}

TASK_TEST(readers_side_by_side_are_in_together)
{
	an_duration began = an_now();

	CHECK_EQUAL(run_all("rrrr"), 0);
	CHECK_EQUAL(an_now() - began, AN_SECOND);
	return 0;
}

TASK_TEST_IN_ORDER(all_are_let_in_in_the_order_they_came)
{
	an_duration began = an_now();

	CHECK_EQUAL(run_all("rrwrrwwr"), 0);
	CHECK(strcmp(order, "rrwrrwwr") == 0);
	CHECK_EQUAL(an_now() - began, 6 * AN_SECOND);
	return 0;
}

TASK_TEST_IN_ORDER(a_reader_does_not_overtake_a_writer_that_waits)
{
	an_task *writer;

	start();
	CHECK_EQUAL(an_rwlock_read(&lock), 0);
	CHECK_EQUAL(an_rwlock_tryread(&lock), 0);
	CHECK_EQUAL(an_rwlock_trywrite(&lock), -EBUSY);
	CHECK_EQUAL(an_spawn(writes, NULL, NULL, &writer), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(an_rwlock_tryread(&lock), -EBUSY);
	CHECK_EQUAL(an_rwlock_unlock(&lock), 0);
	CHECK_EQUAL(writers, 0);
	CHECK_EQUAL(an_rwlock_unlock(&lock), 0);
	CHECK_EQUAL(an_rwlock_tryread(&lock), -EBUSY); /* it is the writer's already */
	CHECK_EQUAL(an_join(writer, NULL), 0);
	CHECK_EQUAL(an_rwlock_tryread(&lock), 0);
	CHECK_EQUAL(an_rwlock_unlock(&lock), 0);
	return 0;
}

TASK_TEST_IN_ORDER(a_writer_that_gives_up_lets_in_the_readers_behind_it)
{
	an_task *writer, *reader;
	int wrote = 1, read = 1;

	start();
	CHECK_EQUAL(an_rwlock_read(&lock), 0);
	CHECK_EQUAL(an_spawn(writes, &wrote, NULL, &writer), 0);
	CHECK_EQUAL(an_spawn(reads, &read, NULL, &reader), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(readers, 0);
	an_cancel(writer);
	CHECK_EQUAL(an_join(writer, NULL), 0);
	CHECK_EQUAL(wrote, -ECANCELED);
	CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(readers, 1); /* while the first reader still holds it */
	CHECK_EQUAL(an_rwlock_unlock(&lock), 0);
	CHECK_EQUAL(an_join(reader, NULL), 0);
	CHECK_EQUAL(read, 0);
	return 0;
}

TASK_TEST_IN_ORDER(a_limit_ends_a_wait_like_a_cancellation)
{
	an_task *reader;
	an_timeout limit;
	int read = 1;

	start();
	CHECK_EQUAL(an_spawn(reads, &read, NULL, &reader), 0);
	CHECK_EQUAL(an_yield(), 0);
	an_timeout_begin(&limit, AN_MILLISECOND);
	CHECK_EQUAL(an_timeout_end(&limit, an_rwlock_write(&lock)), -ETIMEDOUT);
	CHECK_EQUAL(an_rwlock_read(&lock), 0);
	CHECK_EQUAL(an_rwlock_unlock(&lock), 0);
	CHECK_EQUAL(an_join(reader, NULL), 0);
	return 0;
}

/* asyncio semantics 21, for this lock: it has one that goes with the hand-over. */
TASK_TEST_IN_ORDER(who_is_cancelled_after_the_grant_is_in)
{
	an_task *writer, *reader;
	int wrote = 1, read = 1;

	start();
	CHECK_EQUAL(an_rwlock_write(&lock), 0);
	CHECK_EQUAL(an_spawn(reads, &read, NULL, &reader), 0);
	CHECK_EQUAL(an_yield(), 0);
	CHECK_EQUAL(an_rwlock_unlock(&lock), 0);
	an_cancel(reader);
	CHECK_EQUAL(an_rwlock_trywrite(&lock), -EBUSY);
	CHECK_EQUAL(an_spawn(writes, &wrote, NULL, &writer), 0);
	CHECK_EQUAL(an_join(reader, NULL), 0);
	CHECK_EQUAL(read, 0);
	CHECK_EQUAL(an_join(writer, NULL), 0);
	CHECK_EQUAL(wrote, 0);
	CHECK_EQUAL(an_rwlock_trywrite(&lock), 0);
	CHECK_EQUAL(an_rwlock_unlock(&lock), 0);
	return 0;
}

static int unlocks(void *arg)
{
	(void)arg;
	return an_rwlock_unlock(&lock);
}

TASK_TEST(misuse_is_refused)
{
	an_task *task;
	int r;

	start();
	CHECK_EQUAL(an_rwlock_unlock(&lock), -EPERM);
	CHECK_EQUAL(an_rwlock_write(&lock), 0);
	CHECK_EQUAL(an_rwlock_write(&lock), -EDEADLK);
	CHECK_EQUAL(an_rwlock_read(&lock), -EDEADLK);
	CHECK_EQUAL(an_spawn(unlocks, NULL, NULL, &task), 0);
	CHECK_EQUAL(an_join(task, &r), 0);
	CHECK_EQUAL(r, -EPERM);
	CHECK_EQUAL(an_rwlock_unlock(&lock), 0);
	CHECK_EQUAL(an_rwlock_unlock(&lock), -EPERM);
	return 0;
}

static void outside_a_task_it_cannot_be_held(void **state)
{
	an_rwlock l = AN_RWLOCK_INIT;

	(void)state;
	assert_int_equal(an_rwlock_tryread(&l), AN_ERR_NO_TASK);
	assert_int_equal(an_rwlock_trywrite(&l), AN_ERR_NO_TASK);
	assert_int_equal(an_rwlock_read(&l), AN_ERR_NO_TASK);
	assert_int_equal(an_rwlock_write(&l), AN_ERR_NO_TASK);
	assert_int_equal(an_rwlock_unlock(&l), -EPERM);
}

static int stays_briefly(int (*enter)(an_rwlock *l), int *count)
{
	int r = enter(&lock);

	if (r < 0)
		return r;
	++*count;
	CHECK_EQUAL(inside('x'), 0);
	r = an_yield();
	--*count;
	CHECK_EQUAL(an_rwlock_unlock(&lock), 0);
	return r;
}

static int comes_and_goes(void *arg)
{
	(void)arg;
	order[0] = '\0';
	for (int i = 0; i < 6; i++) {
		int r = i & 1 ? stays_briefly(an_rwlock_write, &writers)
			      : stays_briefly(an_rwlock_read, &readers);

		if (r < 0)
			return r;
	}
	return 0;
}

static an_group rivals;

static int starts_rivals(void *arg)
{
	(void)arg;
	start();
	an_group_begin(&rivals);
	for (int i = 0; i < 3; i++)
		CHECK_EQUAL(an_group_spawn(&rivals, comes_and_goes, NULL), 0);
	return 0;
}

static int finds_it_free(void *arg)
{
	(void)arg;
	CHECK_EQUAL(an_group_end(&rivals), 0);
	CHECK_EQUAL(an_rwlock_trywrite(&lock), 0);
	CHECK_EQUAL(an_rwlock_unlock(&lock), 0);
	return 0;
}

CANCEL_TEST(a_cancellation_at_any_step_leaves_it_free, starts_rivals, comes_and_goes,
	    finds_it_free, NULL)

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(readers_side_by_side_are_in_together),
	cmocka_unit_test(all_are_let_in_in_the_order_they_came),
	cmocka_unit_test(a_reader_does_not_overtake_a_writer_that_waits),
	cmocka_unit_test(a_writer_that_gives_up_lets_in_the_readers_behind_it),
	cmocka_unit_test(a_limit_ends_a_wait_like_a_cancellation),
	cmocka_unit_test(who_is_cancelled_after_the_grant_is_in),
	cmocka_unit_test(misuse_is_refused),
	cmocka_unit_test(outside_a_task_it_cannot_be_held),
	cmocka_unit_test(a_cancellation_at_any_step_leaves_it_free),
};
TEST_MAIN("rwlock", tests)
