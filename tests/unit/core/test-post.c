/* Messages from other threads: a loop does not end while a sender is still at it. */
#include "loop/core/loop-private.h"
#include "tests/support/run.h"

#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

static _Thread_local bool is_sender, is_to_end;
static atomic_bool pushed, over, too_late;
static bool delivered;

/* In the place of libc's. The sender stays here, between its message's being there and
 * the loop's being told, for as long as it takes the loop to end, or a good while. */
ssize_t write(int fd, const void *buffer, size_t size)
{
	if (is_to_end)
		pthread_testcancel(); /* as libc's does */
	if (is_sender) {
		atomic_store(&pushed, true);
		for (int i = 0; i < 10000 && !atomic_load(&over); i++)
			sched_yield();
		atomic_store(&too_late, atomic_load(&over));
	}
	return syscall(SYS_write, fd, buffer, size);
}

static void is_delivered(an__post_node *node)
{
	(void)node;
	delivered = true;
	an__loop_release(an_loop_current());
}

static an__post_node message = { .fn = is_delivered };

static void *sends(void *loop)
{
	is_sender = true;
	an__loop_post(loop, &message);
	return NULL;
}

/* What wakes the loop in the meantime may be a SIGINT. */
static int takes_the_message_early(void *arg)
{
	an_loop *loop = an_loop_current();

	an__loop_hold(loop);
	CHECK_EQUAL(pthread_create(arg, NULL, sends, loop), 0);
	while (!atomic_load(&pushed))
		sched_yield();
	an__post_run(loop);
	CHECK(delivered);
	return 0;
}

static void the_end_of_a_loop_waits_for_who_has_just_sent(void **state)
{
	pthread_t sender;

	(void)state;
	assert_int_equal(run_virtual(takes_the_message_early, &sender), 0);
	atomic_store(&over, true);
	pthread_join(sender, NULL);
	assert_false(atomic_load(&too_late));
}

static void *sends_and_ends(void *loop)
{
	is_to_end = true;
	pthread_cancel(pthread_self());
	an__loop_post(loop, &message);
	pthread_testcancel();
	return NULL;
}

/* It is pthread_cancel()'s to end it before or after. */
static int hears_of_a_message(void *arg)
{
	an_loop *loop = an_loop_current();
	pthread_t sender;
	void *end;

	(void)arg;
	delivered = false;
	an__loop_hold(loop);
	CHECK_EQUAL(pthread_create(&sender, NULL, sends_and_ends, loop), 0);
	CHECK_EQUAL(pthread_join(sender, &end), 0);
	CHECK(end == PTHREAD_CANCELED);
	CHECK_EQUAL(an_testing_settle(), 0);
	if (!delivered)
		an__post_run(loop);
	CHECK_EQUAL(atomic_load(&loop->senders), 0);
	return 0;
}

static void a_sender_that_is_cancelled_has_told_the_loop(void **state)
{
	(void)state;
	assert_int_equal(run_virtual(hears_of_a_message, NULL), 0);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(the_end_of_a_loop_waits_for_who_has_just_sent),
	cmocka_unit_test(a_sender_that_is_cancelled_has_told_the_loop),
};

TEST_MAIN("post", tests)
