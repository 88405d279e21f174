/* A signal that has every loop which asked for it write its tasks to stderr. L1; see
 * loop.h.
 *
 * A signal comes to any one thread, and a loop can be dumped on its own thread alone:
 * whoever gets the signal sends it on to the threads of the others, with a mark so that
 * it ends there. The handler writes itself, so that a task that never suspends is seen,
 * too.
 *
 * The table is changed under the lock; the handler reads it without. A place that is
 * given up meanwhile, and even taken anew, costs a signal that finds nothing to do.
 */
#include "config.h"

#include "loop/core/loop-private.h"

#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PLACES 256
#define SIGNALS 65

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct place {
	_Atomic(pid_t) thread; /* 0: free */
	atomic_int signal;
} places[PLACES];
static struct {
	unsigned loops; /* that asked for this signal */
	struct sigaction former;
} taken[SIGNALS];
static const char mark; /* its address is what a signal that was sent on carries */

static void dump_here(int number)
{
	an_loop *loop = an__current_loop;

	if (loop && loop->dump_place && loop->opts.dump_signal == number)
		an_dump_tasks(STDERR_FILENO);
}

static void send_on(int number)
{
	pid_t self = (pid_t)syscall(SYS_gettid);
	siginfo_t info = { .si_signo = number, .si_code = SI_QUEUE };

	info.si_pid = getpid();
	info.si_uid = getuid();
	info.si_value.sival_ptr = (void *)(uintptr_t)&mark;
	for (size_t i = 0; i < PLACES; i++) {
		pid_t thread = atomic_load(&places[i].thread);

		if (thread && thread != self && atomic_load(&places[i].signal) == number)
			syscall(SYS_rt_tgsigqueueinfo, info.si_pid, thread, number,
				&info);
	}
}

static void on_signal(int number, siginfo_t *info, void *context)
{
	int saved = errno;

	(void)context;
	dump_here(number);
	if (info->si_code != SI_QUEUE || info->si_value.sival_ptr != &mark)
		send_on(number);
	errno = saved;
}

static int take_signal(int number)
{
	struct sigaction sa = { .sa_sigaction = on_signal,
				.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };

	if (taken[number].loops == 0) {
		sigemptyset(&sa.sa_mask);
		if (sigaction(number, &sa, &taken[number].former) < 0)
			return -errno;
	}
	taken[number].loops++;
	return 0;
}

static int take_place(an_loop *loop)
{
	int number = loop->opts.dump_signal;
	size_t i = 0;
	int r;

	while (i < PLACES && atomic_load(&places[i].thread))
		i++;
	if (i == PLACES)
		return -EAGAIN;
	r = take_signal(number);
	if (r < 0)
		return r;
	atomic_store(&places[i].signal, number);
	atomic_store(&places[i].thread, (pid_t)syscall(SYS_gettid));
	loop->dump_place = i + 1;
	return 0;
}

int an__dump_signal_enter(an_loop *loop)
{
	int r;

	if (!loop->opts.dump_signal)
		return 0;
	if (loop->opts.dump_signal < 0 || loop->opts.dump_signal >= SIGNALS)
		return -EINVAL;
	pthread_mutex_lock(&lock);
	r = take_place(loop);
	pthread_mutex_unlock(&lock);
	return r;
}

/* The former action comes back, unless somebody has put another one there since. */
static void give_signal_back(int number)
{
	struct sigaction now;

	if (--taken[number].loops)
		return;
	if (sigaction(number, NULL, &now) == 0 && (now.sa_flags & SA_SIGINFO) &&
	    now.sa_sigaction == on_signal)
		sigaction(number, &taken[number].former, NULL);
}

void an__dump_signal_leave(an_loop *loop)
{
	if (!loop->dump_place)
		return;
	pthread_mutex_lock(&lock);
	atomic_store(&places[loop->dump_place - 1].thread, 0);
	loop->dump_place = 0;
	give_signal_back(loop->opts.dump_signal);
	pthread_mutex_unlock(&lock);
}

/* The other threads, and their loops, are not in the child. */
void an__dump_signal_forked(void)
{
	pthread_mutex_init(&lock, NULL);
	for (size_t i = 0; i < PLACES; i++)
		atomic_store(&places[i].thread, 0);
	for (int n = 0; n < SIGNALS; n++) {
		if (!taken[n].loops)
			continue;
		taken[n].loops = 1;
		give_signal_back(n);
	}
}
