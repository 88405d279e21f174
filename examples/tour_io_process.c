/* The sixth chapter of tour_io: pipes, and child processes at their ends.
 *
 * asyncio.create_subprocess_exec() leaves the child running when the task that waits for
 * it is cancelled, and its wait() can hang on a full pipe. Here to close a process ends
 * it, on every way out.
 */
#include "tour_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- a pipe ------------------------------------------------------------------------ */

/* The reader sees the end when the writer is closed, which it is on every way out. */
static int write_to_pipe(void *arg)
{
	static const char *const words[] = { "first\n", "second\n", "third\n" };
	an_stream *writer = arg;
	int r = 0;

	for (size_t i = 0; i < 3 && !r; i++)
		r = an_stream_write(writer, words[i], strlen(words[i]));
	if (!r)
		r = an_stream_drain(writer);
	return r;
}

static int read_from_pipe(an_stream *reader)
{
	const char *line;
	size_t len;
	int r;

	while (!(r = an_stream_read_line(reader, &line, &len)))
		tour_say("%.*s", (int)len - 1, line);
	return r == AN_ERR_EOF ? 0 : r;
}

struct pipe {
	an_stream *reader, *writer;
};

static int write_and_close(void *arg)
{
	struct pipe *pipe = arg;
	int r = write_to_pipe(pipe->writer);

	pipe->writer = an_stream_close(pipe->writer);
	return r;
}

/* loop.connect_read_pipe() and connect_write_pipe() want a protocol class each; a pipe is
 * two streams here. */
static int a_pipe(void *arg)
{
	struct pipe pipe;
	an_group group;
	int r = an_pipe(NULL, &pipe.reader, &pipe.writer);

	(void)arg;
	if (r)
		return r;
	an_group_begin(&group);
	an_group_fail(&group, an_group_spawn(&group, write_and_close, &pipe));
	an_group_fail(&group, read_from_pipe(pipe.reader));
	r = an_group_end(&group);
	an_stream_close(pipe.reader);
	an_stream_close(pipe.writer); /* if it never ran */
	return r;
}

/* ---- a child ----------------------------------------------------------------------- */

/* process.communicate(input): writes, reads and waits, all at once, so that no pipe can
 * fill up and stop both sides. */
static int sort_lines(an_process *sort)
{
	static const char input[] = "pear\napple\nquince\n";
	an_process_status status;
	char *rest, *line;
	int r = an_process_communicate(sort, input, strlen(input), &status);

	if (r)
		return r;
	tour_say("sort ended with %d", status.code);
	rest = strdup(an_process_output(sort, STDOUT_FILENO, NULL));
	if (!rest)
		return -ENOMEM;
	for (char *at = rest; (line = strsep(&at, "\n")) && *line;)
		tour_say("%s", line);
	free(rest);
	return 0;
}

/* await asyncio.create_subprocess_exec("sort", stdin=PIPE, stdout=PIPE) */
static int a_child(void *arg)
{
	static const char *const argv[] = { "sort", NULL };
	an_process *sort;
	int r = an_process_spawn(
		argv,
		&(an_process_opts){ .in = { .to = AN_PROCESS_PIPE },
				    .out = { .to = AN_PROCESS_PIPE },
				    .env_add = (const char *[]){ "LC_ALL=C", NULL } },
		&sort);

	(void)arg;
	if (r)
		return r;
	r = sort_lines(sort);
	an_process_close(sort);
	return r;
}

/* ---- how a child ends -------------------------------------------------------------- */

static int say_end(const char *command)
{
	an_process_status status;
	an_process *shell;
	int r = an_process_shell(command, NULL, &shell);

	if (r)
		return r;
	r = an_process_wait(shell, &status);
	an_process_close(shell);
	if (!r && status.signal)
		tour_say("%s: signal %d", command, status.signal);
	else if (!r)
		tour_say("%s: code %d", command, status.code);
	return r;
}

/* What cannot be started is an error of the spawn; what has started tells by its
 * status. */
static int ends_of_children(void *arg)
{
	static const char *const missing[] = { "no-such-program-anywhere", NULL };
	an_process *process;
	int r = say_end("true");

	(void)arg;
	if (!r)
		r = say_end("exit 3");
	if (!r)
		r = say_end("kill -9 $$");
	if (r)
		return r;
	r = an_process_spawn(missing, NULL, &process);
	if (!r)
		an_process_close(process);
	tour_say("a program that is missing: %s", tour_code(r));
	return r == -ENOENT ? 0 : r;
}

/* ---- a child that does not end ----------------------------------------------------- */

/* async with asyncio.timeout(0.02): await process.wait(). The wait leaves the child
 * alone; the close sends it SIGTERM, and SIGKILL after a time of grace, and whoever runs
 * the loop reaps it. Nothing is left behind, whoever forgets to look. */
static int a_limit_for_a_child(void *arg)
{
	static const char *const argv[] = { "sleep", "3600", NULL };
	an_timeout limit;
	an_process *sleeper;
	int r = an_process_spawn(argv, NULL, &sleeper);

	(void)arg;
	if (r)
		return r;
	an_timeout_begin(&limit, 20 * AN_MILLISECOND);
	r = an_timeout_end(&limit, an_process_wait(sleeper, NULL));
	tour_say("sleep 3600: %s", tour_code(r));
	if (r == -ETIMEDOUT)
		tour_say("it runs still: %s",
			 an_process_poll(sleeper, NULL) == -EAGAIN ? "yes" : "no");
	an_process_close(sleeper);
	return r == -ETIMEDOUT ? 0 : r;
}

/* ---- two children ------------------------------------------------------------------ */

/* The child has a copy of what it needs; ours must go, or the reader never sees an
 * end. */
static int spawn_both(an_process **ret_first, an_process **ret_second)
{
	static const char *const seq[] = { "seq", "1000", NULL };
	static const char *const wc[] = { "wc", "-l", NULL };
	int ends[2], r;

	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	r = an_process_spawn(seq, &(an_process_opts){ .out = { AN_PROCESS_FD, ends[1] } },
			     ret_first);
	if (!r) {
		r = an_process_spawn(
			wc,
			&(an_process_opts){ .in = { AN_PROCESS_FD, ends[0] },
					    .out = { .to = AN_PROCESS_PIPE } },
			ret_second);
		if (r)
			*ret_first = an_process_close(*ret_first);
	}
	close(ends[0]);
	close(ends[1]);
	return r;
}

/* seq 1000 | wc -l, without a shell */
static int two_children(void *arg)
{
	an_process *seq, *wc;
	int r = spawn_both(&seq, &wc);

	(void)arg;
	if (r)
		return r;
	r = an_process_communicate(wc, NULL, 0, NULL);
	if (!r)
		tour_say("lines: %d", atoi(an_process_output(wc, STDOUT_FILENO, NULL)));
	if (!r)
		r = an_process_wait(seq, NULL);
	an_process_close(wc);
	an_process_close(seq);
	return r;
}

const struct tour_section tour_io_process[] = {
	{ "A pipe", .task = a_pipe },
	{ "A child sorts lines", .task = a_child },
	{ "How children end", .task = ends_of_children },
	{ "A child that does not end", .task = a_limit_for_a_child },
	{ "Two children and a pipe between them", .task = two_children },
	{ 0 },
};
