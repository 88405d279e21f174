/* A piece of a test in a process of its own: for what may, or must, die. */
#ifndef AN_TESTS_SUPPORT_CHILD_H
#define AN_TESTS_SUPPORT_CHILD_H

#include "tests/support/program.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* Runs fn(arg) in a child that may die, gathers its stderr, which is cut at `cap` bytes
 * with the zero at its end; returns the status of waitpid. */
static inline int in_child(void (*fn)(void *arg), void *arg, char *said, size_t cap)
{
	struct rlimit none = { 0, 0 };
	size_t length = 0;
	int fds[2], status;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		setrlimit(RLIMIT_CORE, &none);
		dup2(fds[1], STDERR_FILENO);
		/* cmocka's handlers would jump out of the child's fault */
		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		alarm(30);
		fn(arg);
		_exit(0);
	}
	close(fds[1]);
	while ((n = read(fds[0], said + length, cap - 1 - length)) > 0)
		length += (size_t)n;
	said[length] = '\0';
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

#endif
