/* For the tests of programs that use the library: what is rare is made to happen here.
 *
 * asyncnet.h leaves this header out; a test includes it itself. The functions are part of
 * the installed library, so that a program is tested as it is built, with no link flags
 * and no other build of the library. As long as nothing is armed they cost nothing that
 * could be measured.
 */
#ifndef ASYNCNET_TESTING_H
#define ASYNCNET_TESTING_H

#include <asyncnet/api.h>
#include <asyncnet/loop.h>
#include <asyncnet/task.h>

AN_BEGIN_DECLS

/* ---- failing allocations ----------------------------------------------------------- */

/* The `nth` allocation of this thread from now on fails, once; 0: none does. What was
 * armed before is forgotten, and so is whether it came to that. Works with a loop and
 * without. Never suspends.
 *
 * Every allocation of the library can be made to fail: a test does the same thing with
 * the first, the second, ... failing, until it is over before the turn has come. With a
 * failing allocation it returns -ENOMEM, or 0 where the library can do without what the
 * memory was for (an entry of a cache, the buffer of a line that is then logged at once).
 * Nothing is leaked, and the same call works afterwards.
 *
 *	for (size_t n = 1;; n++) {
 *		an_testing_fail_allocation(n);
 *		r = the_thing_under_test();
 *		if (!an_testing_allocation_failed())
 *			break;
 *		assert(r == -ENOMEM);
 *	}
 *	assert(r == 0);
 *
 * The count is the calling thread's. All of its tasks share it; allocations of other
 * threads, such as the library's workers, neither count nor fail. The n-th allocation is
 * the same one each time only if the same is done each time: where threads or peers
 * decide on the order, some may never have their turn.
 *
 * What counts is what the library itself takes from malloc() and its kin. Not covered
 * are stacks of tasks, which come from mmap(), and allocations by others:
 *
 * libevent's, for events, buffers and bases. event_set_mem_functions(), called before
 * anything of libevent's is made, hands them to functions of the test's, which can ask
 * an_testing_allocation_due().
 *
 * OpenSSL's and libpq's. CRYPTO_set_mem_functions() does the same for OpenSSL, whose own
 * ways with a failure are then tested, too; libpq has no such thing.
 *
 * libwslay's, and libc's own inside of its functions, such as getaddrinfo().
 *
 * The program's own, unless it asks an_testing_allocation_due(). */
AN_API void an_testing_fail_allocation(size_t nth);

/* Whether the allocation that was armed last has failed. Disarms: all allocations pass
 * from here on, and a second call returns false. Never suspends. */
AN_API bool an_testing_allocation_failed(void);

/* For allocators of the program, so that one count goes through them and the library:
 *
 *	void *my_alloc(size_t size)
 *	{
 *		return an_testing_allocation_due() ? NULL : malloc(size);
 *	}
 *
 * Counts one allocation of this thread. Returns true if that is the one that has to fail,
 * with errno ENOMEM; else false, errno untouched. To be called once for each allocation,
 * from any thread. Never suspends. */
AN_API bool an_testing_allocation_due(void);

/* ---- runs in other orders ---------------------------------------------------------- */

/* Of an_testing_run() and an_testing_cancel_at_each_step(). */
typedef struct an_testing_opts {
	/* The seed of the first round. 0: the number in AN_SEED in the environment; when
	 * there is none, one that was not used before. */
	uint64_t seed;
	/* How many runs, each with the seed after that of the one before; 0: one. The
	 * first that fails is the last. */
	unsigned rounds;
	/* What the loop of each run is made with otherwise: its stacks, debug mode. Its
	 * clock is virtual and its seed the round's in any case. NULL: the defaults.
	 * Borrowed for the call. */
	const an_loop_opts *loop;
} an_testing_opts;

/* Runs fn(arg) as an_run() does, on a loop with a virtual clock that draws by lot which
 * of the ready tasks runs next (an_loop_opts.seed). What works in one order of its tasks
 * alone, because nothing else has come up yet, fails in another; 1000 rounds of a
 * scenario of some ten tasks take about a tenth of a second. When fn fails, or nothing
 * can wake it any more, one line on stderr tells the seed, with which the run repeats
 * itself exactly:
 *
 *	seed 1733: run again with AN_SEED=1733
 *
 * The order among the tasks is all that the seed decides. First come, first served holds
 * for a mutex or a queue in any order: it is about who came first. What other threads,
 * peers and files do follows no seed; a scenario that depends on those need not repeat
 * itself. `arg` is the same for each round: fn begins by setting up what it uses.
 *
 * Not to be called from a task. Returns what fn returned in the last round, AN_ERR_STUCK,
 * or another failure as an_run(). */
AN_API int an_testing_run(an_task_fn fn, void *arg, const an_testing_opts *opts);

/* The number in AN_SEED in the environment; 0 when there is none. For tests that call
 * an_run() themselves: `.seed = an_testing_seed()` gives them another order only when
 * somebody asks for it. Never suspends. */
AN_API uint64_t an_testing_seed(void);

/* ---- the virtual clock ------------------------------------------------------------- */

/* Lets `d` nanoseconds of the virtual clock pass. Suspends, and comes back at that time,
 * when everything that was due by then has been dealt with: all other tasks wait for
 * something later, or for something that no time brings. 0 or less: the same as
 * an_testing_settle().
 *
 * On a loop with a virtual clock (an_testing_run(), an_loop_opts.virtual_clock) an_now()
 * begins at 0, and time stands still for as long as any task can run, any descriptor has
 * something, or any worker thread is at work for the loop. Only when all tasks wait does
 * the clock jump, to the next deadline, by itself: an hour of an_sleep() takes no time,
 * and a limit of a second cannot expire because the machine is slow. When there is no
 * deadline to jump to either, and no descriptor is waited for, the run ends with
 * AN_ERR_STUCK. This call is for the test that looks at the state of things at a certain
 * time: nothing happens between its calls but what it lets happen.
 *
 * Returns 0; -ECANCELED; AN_ERR_NO_TASK; AN_ERR_MISUSE on a loop with a real clock. */
AN_API AN_SUSPENDS int an_testing_advance(an_duration d);

/* Waits, without time passing, until all other tasks wait, in whatever order they run: so
 * a test knows that the one that it has spawned is parked where it is to be. Suspends.
 * Several tasks may do it at once, and come back together.
 * Returns 0; -ECANCELED; AN_ERR_NO_TASK; AN_ERR_MISUSE on a loop with a real clock. */
AN_API AN_SUSPENDS int an_testing_settle(void);

/* ---- cancelled at each step -------------------------------------------------------- */

/* Something that may be cancelled, and what must hold afterwards. Each function is called
 * with `arg`, and returns a negative code when something is wrong. */
typedef struct an_testing_scenario {
	an_task_fn prepare; /* makes what the body uses, spawns its peers; may be NULL */
	an_task_fn body;    /* the victim */
	an_task_fn check;   /* looks at what is left; may be NULL */
	void *arg;
} an_testing_scenario;

/* Runs the scenario again and again, each time on a loop of its own with a virtual clock,
 * and cancels the body one step later each time: before it starts, when it waits for the
 * first time, after each step that its peers make while it waits, when it was granted
 * what it waited for and has not run yet, and so on through all its waits, until it once
 * ends by itself. (A step is what one task does between two suspensions.) So the
 * cancellation comes at every point where one can come at all.
 *
 * In each run a main task calls prepare(), which may wait, spawns the body, waits for its
 * end, and calls check(), which may wait, too. The run fails when
 *  - prepare() or check() returns a negative code;
 *  - the body returns one that is not -ECANCELED, or that although it was not cancelled;
 *  - nothing can wake the main task any more: AN_ERR_STUCK, which a wake-up that was lost
 *    ends in, and a body that does not end by itself.
 * Tasks that check() has left are cancelled at the end, as in an_run().
 *
 * The runs use the order in which tasks become ready, unless `opts` or AN_SEED give a
 * seed, or `opts` rounds: then all is done once for each seed, in that order. A body of n
 * steps takes n + 1 runs, of 50 us and more. The first failure ends it, and a line on
 * stderr says when the body was cancelled:
 *
 *	cancelled after step 5, waiting for a mutex: -110
 *
 * with the seed, if there was one. Not to be called from a task. Returns 0; the failure;
 * -EINVAL without a body; -ENOMEM and the like as an_run(). */
AN_API int an_testing_cancel_at_each_step(const an_testing_scenario *scenario,
					  const an_testing_opts *opts);

AN_END_DECLS

#endif
