/* The signal that has each loop write its tasks: whoever gets it. */
#include "tests/support/run.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

static const an_loop_opts opts = { .dump_signal = SIGUSR1, .no_signals = true };

/* ---- stderr is read ---------------------------------------------------------------- */

static int ends[2], real_stderr;
static char text[16384];
static size_t used;

static int divert(void **state)
{
	(void)state;
	used = 0;
	text[0] = '\0';
	real_stderr = dup(STDERR_FILENO);
	return pipe(ends) < 0 || dup2(ends[1], STDERR_FILENO) < 0 ? -1 : 0;
}

static int restore(void **state)
{
	(void)state;
	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	close(ends[0]);
	close(ends[1]);
	return 0;
}

/* Reads until it has come; the program's alarm ends a wait in vain. */
static void await_text(const char *what)
{
	while (!strstr(text, what)) {
		ssize_t n = read(ends[0], text + used, sizeof text - 1 - used);

		if (n > 0)
			used += (size_t)n;
		text[used] = '\0';
	}
}

/* ---- one loop ---------------------------------------------------------------------- */

static int raises(void *arg)
{
	(void)arg;
	return raise(SIGUSR1);
}

static void the_signal_dumps_the_tasks(void **state)
{
	(void)state;
	assert_int_equal(an_run(raises, NULL, &opts), 0);
	await_text("1 task\nmain  running\n");
}

static void a_former_handler(int number)
{
	(void)number;
}

static void the_former_action_comes_back(void **state)
{
	struct sigaction now;

	(void)state;
	signal(SIGUSR1, a_former_handler);
	assert_int_equal(an_run(raises, NULL, &opts), 0);
	sigaction(SIGUSR1, NULL, &now);
	assert_true(now.sa_handler == a_former_handler);
	signal(SIGUSR1, SIG_DFL);
}

static int puts_its_own(void *arg)
{
	(void)arg;
	signal(SIGUSR1, a_former_handler);
	return 0;
}

static void an_action_that_somebody_else_set_stays(void **state)
{
	struct sigaction now;

	(void)state;
	assert_int_equal(an_run(puts_its_own, NULL, &opts), 0);
	sigaction(SIGUSR1, NULL, &now);
	assert_true(now.sa_handler == a_former_handler);
	signal(SIGUSR1, SIG_DFL);
}

static void a_signal_that_cannot_be_caught_is_refused(void **state)
{
	(void)state;
	assert_int_equal(an_run(raises, NULL, &(an_loop_opts){ .dump_signal = SIGKILL }),
			 -EINVAL);
	assert_int_equal(an_run(raises, NULL, &(an_loop_opts){ .dump_signal = 4711 }),
			 -EINVAL);
	assert_int_equal(an_run(raises, NULL, &(an_loop_opts){ .dump_signal = -1 }),
			 -EINVAL);
	assert_null(an_loop_current());
}

/* ---- several threads --------------------------------------------------------------- */

struct thread {
	pthread_t id;
	sem_t ready;
	atomic_bool over;
	bool spins;
	const char *name;
	an_loop *loop;
	an_task *task;
};

static int waits(void *arg)
{
	struct thread *t = arg;
	int r;

	t->loop = an_loop_current();
	sem_post(&t->ready);
	while (t->spins && !atomic_load(&t->over))
		;
	r = t->spins ? 0 : an_sleep(AN_FOREVER);
	return r == -ECANCELED ? 0 : r;
}

static int starts(void *arg)
{
	struct thread *t = arg;

	CHECK_EQUAL(an_spawn(waits, t, &(an_task_opts){ .name = t->name }, &t->task), 0);
	return an_join(t->task, NULL);
}

static void *runs(void *arg)
{
	return (void *)(intptr_t)an_run(starts, arg, &opts);
}

static void start(struct thread *t)
{
	sem_init(&t->ready, 0, 0);
	assert_int_equal(pthread_create(&t->id, NULL, runs, t), 0);
	while (sem_wait(&t->ready) < 0)
		;
}

static void cancel_task(void *arg)
{
	an_cancel(arg);
}

static void end(struct thread *t)
{
	void *result;

	atomic_store(&t->over, true);
	if (!t->spins)
		assert_int_equal(an_post(t->loop, cancel_task, t->task), 0);
	assert_int_equal(pthread_join(t->id, &result), 0);
	assert_null(result);
	sem_destroy(&t->ready);
}

/* This thread, which gets the signal, has no loop. */
static void every_thread_dumps_its_own_loop(void **state)
{
	struct thread idle = { .name = "idle" };
	struct thread busy = { .name = "busy", .spins = true };

	(void)state;
	start(&idle);
	start(&busy);
	raise(SIGUSR1);
	await_text("idle  ");
	await_text("busy  running");
	end(&idle);
	end(&busy);
}

static void a_thread_with_a_loop_sends_it_on(void **state)
{
	struct thread idle = { .name = "idle" };

	(void)state;
	start(&idle);
	assert_int_equal(an_run(raises, NULL, &opts), 0);
	await_text("main  running\n");
	await_text("idle  ");
	end(&idle);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, divert, restore)

static const struct CMUnitTest tests[] = {
	TEST(the_signal_dumps_the_tasks),
	TEST(the_former_action_comes_back),
	TEST(an_action_that_somebody_else_set_stays),
	TEST(a_signal_that_cannot_be_caught_is_refused),
	TEST(every_thread_dumps_its_own_loop),
	TEST(a_thread_with_a_loop_sends_it_on),
};
TEST_MAIN("dump-signal", tests)
