/* What the tests of child processes share. */
#ifndef TESTS_UNIT_IO_CHILDREN_H
#define TESTS_UNIT_IO_CHILDREN_H

#include "tests/support/run.h"

#include <asyncnet/process.h>
#include <dirent.h>
#include <errno.h>
#include <sys/wait.h>

/* With the real clock: children have no other. */
static inline int run_real(an_task_fn fn, void *arg)
{
	return an_run(fn, arg, NULL);
}

#define REAL_TEST(name) AN__TASK_TEST(name, run_real)

static inline size_t open_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* Whether this process has any child, running or not. */
static inline bool has_children(void)
{
	siginfo_t info;

	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/* Runs a command of the shell, gathers its stdout in `said`, returns its exit code, or a
 * negative code. */
static inline int shell(const char *command, const an_process_opts *opts, char *said,
			size_t cap)
{
	an_process_opts o = opts ? *opts : (an_process_opts){ 0 };
	an_process_status status;
	an_process *p;
	int r;

	o.out.to = AN_PROCESS_PIPE;
	r = an_process_shell(command, &o, &p);
	if (r < 0)
		return r;
	r = an_process_communicate(p, NULL, 0, &status);
	snprintf(said, cap, "%s", an_process_output(p, STDOUT_FILENO, NULL));
	an_process_close(p);
	return r < 0 ? r : status.code;
}

#endif
