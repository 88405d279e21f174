/* What a child has that its exec() keeps: mask, priority, limits, whom it runs as. L3.
 *
 * In the child, between vfork() or fork() and exec(). The calls of libc that change the
 * user would have all threads change theirs, by signals to what this process believes to
 * be its threads; so the kernel is asked.
 */
#include "config.h"

#include "loop/io/process-private.h"

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef SYS_setresuid32
#define SET_USER SYS_setresuid32
#define SET_GROUP SYS_setresgid32
#define SET_GROUPS SYS_setgroups32
#else
#define SET_USER SYS_setresuid
#define SET_GROUP SYS_setresgid
#define SET_GROUPS SYS_setgroups
#endif

static int set_limits(const an_process_opts *opts)
{
	for (size_t i = 0; i < opts->limit_count; i++) {
		const an_process_limit *l = &opts->limits[i];

		if (setrlimit(l->resource, &l->value) < 0)
			return errno;
	}
	return 0;
}

static int set_nice(int increment)
{
	int now, sum;

	if (!increment)
		return 0;
	errno = 0;
	now = getpriority(PRIO_PROCESS, 0);
	if (errno)
		return errno;
	/* Too much is as much as there is, as with nice(2). */
	if (__builtin_add_overflow(now, increment, &sum))
		sum = increment;
	return setpriority(PRIO_PROCESS, 0, sum) < 0 ? errno : 0;
	return 0;
}

/* The user last, who may not change the rest. */
static int set_identity(const an_process_opts *opts)
{
	bool other = opts->user && *opts->user != geteuid();

	if ((opts->groups || other) &&
	    syscall(SET_GROUPS, opts->groups ? opts->group_count : 0, opts->groups) < 0)
		return errno;
	if (opts->group &&
	    syscall(SET_GROUP, *opts->group, *opts->group, *opts->group) < 0)
		return errno;
	if (opts->user && syscall(SET_USER, *opts->user, *opts->user, *opts->user) < 0)
		return errno;
	return 0;
}

/* Behind the change of the user, which takes it back. */
static int set_death_signal(int signal, pid_t parent)
{
	if (!signal)
		return 0;
	if (prctl(PR_SET_PDEATHSIG, signal) < 0)
		return errno;
	/* It has died already, of what nobody can tell any more. */
	if (getppid() != parent)
		kill(getpid(), SIGKILL);
	return 0;
}

int an__process_set_attributes(const an__start *s)
{
	int error;

	if (s->opts->umask)
		umask(*s->opts->umask);
	error = set_nice(s->opts->nice);
	if (!error)
		error = set_limits(s->opts);
	if (!error)
		error = set_identity(s->opts);
	if (!error)
		error = set_death_signal(s->opts->parent_death_signal, s->parent);
	return error;
}
