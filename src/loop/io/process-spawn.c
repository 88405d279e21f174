/* What a child is started with: names, environment, pipes. L3.
 *
 * Everything that takes memory or may suspend happens here, on the loop's thread; a
 * worker then starts the child (process-start.c). That is not left behind by a
 * cancellation, so what it is given may lie on the task's stack, and a child that was
 * started has an owner.
 */
#include "config.h"

#include "loop/base/alloc.h"
#include "loop/io/process-private.h"

#include <asyncnet/offload.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SHELL "/bin/sh"
#define NO_PATH "/bin:/usr/bin" /* what confstr(3) would say */

/* ---- the environment --------------------------------------------------------------- */

static size_t count_of(const char *const *list)
{
	size_t n = 0;

	while (list && list[n])
		n++;
	return n;
}

/* Whether both are of one variable; either may be a mere name. */
static bool same_name(const char *a, const char *b)
{
	size_t length = strcspn(a, "=");

	return length == strcspn(b, "=") && memcmp(a, b, length) == 0;
}

/* The last in the list. */
static const char *find(const char *const *list, size_t count, const char *name)
{
	while (count--)
		if (same_name(list[count], name))
			return list[count];
	return NULL;
}

/* *ret_made is to be freed, and NULL when the environment is one that was there. */
static int make_environment(const an_process_opts *opts, const char *const **ret,
			    const char ***ret_made)
{
	const char *const *env = opts->env ? opts->env : (const char *const *)environ;
	const char *const *add = opts->env_add;
	size_t n = 0, old = count_of(env), new = count_of(add);
	const char **made;

	*ret = env;
	if (!new)
		return 0;
	made = an__reallocarray(NULL, old + new + 1, sizeof *made);
	if (!made)
		return -ENOMEM;
	for (size_t i = 0; i < old; i++)
		if (!find(add, new, env[i]))
			made[n++] = env[i];
	for (size_t i = 0; i < new; i++)
		if (strchr(add[i], '=') && find(add, new, add[i]) == add[i])
			made[n++] = add[i];
	made[n] = NULL;
	*ret = *ret_made = made;
	return 0;
}

/* ---- the names of a program -------------------------------------------------------- */

static const char *search_path(const char *const *env)
{
	const char *path = find(env, count_of(env), "PATH");

	return path ? path + strlen("PATH=") : NO_PATH;
}

/* Each folder of `path` with the program in it, in one piece of memory: the list, and the
 * names behind it. An empty folder is the one where the child runs. */
static char **names_in(const char *path, const char *program)
{
	size_t folders = 1, length = strlen(program), n = 0;
	char **names, *at;

	for (const char *c = path; *c; c++)
		folders += *c == ':';
	names = an__malloc((folders + 1) * sizeof *names + strlen(path) + 1 +
			   folders * (length + 2));
	if (!names)
		return NULL;
	at = (char *)(names + folders + 1);
	for (;;) {
		size_t folder = strcspn(path, ":");

		names[n++] = at;
		at = mempcpy(at, path, folder);
		if (folder)
			*at++ = '/';
		at = mempcpy(at, program, length + 1);
		if (!path[folder])
			break;
		path += folder + 1;
	}
	names[n] = NULL;
	return names;
}

/* One with a '/' is that name alone: a path without folders in it. */
static char **make_names(const char *program, const char *const *env)
{
	return names_in(strchr(program, '/') ? "" : search_path(env), program);
}

/* ---- redirections ------------------------------------------------------------------ */

static bool has_terminal(const an_process_opts *opts)
{
	return opts->in.to == AN_PROCESS_TERMINAL ||
	       opts->out.to == AN_PROCESS_TERMINAL || opts->err.to == AN_PROCESS_TERMINAL;
}

static bool has_own_group(const an_process_opts *opts)
{
	return opts->new_group || opts->new_session || has_terminal(opts);
}

/* It can be in one group. */
static bool valid_group(const an_process_opts *opts)
{
	bool own = has_own_group(opts);

	return opts->process_group >= 0 && !(opts->process_group && own);
}

/* The kernel takes -1 for "as it is": the child would go on as the parent. */
static bool valid_identity(const an_process_opts *opts)
{
	return !(opts->user && *opts->user == (uid_t)-1) &&
	       !(opts->group && *opts->group == (gid_t)-1);
}

static bool valid(const an_process_opts *opts)
{
	const an_process_io *io[] = { &opts->in, &opts->out, &opts->err };

	for (int i = 0; i < 3; i++) {
		if ((unsigned)io[i]->to > AN_PROCESS_TERMINAL)
			return false;
		if (io[i]->to == AN_PROCESS_FD && io[i]->fd < 0)
			return false;
		if (io[i]->to == AN_PROCESS_STDOUT && i != STDERR_FILENO)
			return false;
	}
	for (size_t i = 0; i < opts->pass_count; i++)
		if (opts->pass_fds[i] <= STDERR_FILENO)
			return false;
	return valid_group(opts) && valid_identity(opts) &&
	       opts->parent_death_signal >= 0;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* Before any is made here, which would take the number of one that is not open. */
static bool all_open(const an_process_opts *opts)
{
	const an_process_io *io[] = { &opts->in, &opts->out, &opts->err };

	for (int i = 0; i < 3; i++)
		if (io[i]->to == AN_PROCESS_FD && !is_open(io[i]->fd))
			return false;
	for (size_t i = 0; i < opts->pass_count; i++)
		if (!is_open(opts->pass_fds[i]))
			return false;
	return true;
}

/* The child's end is left in *ret_fd. */
static int make_pipe(an_process *p, int which, const an_stream_opts *opts, int *ret_fd)
{
	int fds[2], r, mine = which == STDIN_FILENO;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	r = an_stream_new(fds[mine], opts, &p->streams[which]);
	if (r < 0) {
		close(fds[0]);
		close(fds[1]);
		return r;
	}
	*ret_fd = fds[!mine];
	return 0;
}

/* One for all that want it. */
static int use_terminal(an_process *p, int which, an__start *s)
{
	int r = p->terminal ? 0 : an__terminal_open(s->opts, &p->terminal, &s->terminal);

	if (r < 0)
		return r;
	p->on_terminal[which] = true;
	s->fds[which] = s->terminal;
	return 0;
}

static int redirect(an_process *p, int which, const an_process_io *io, an__start *s)
{
	int *ret_fd = &s->fds[which];

	switch (io->to) {
	case AN_PROCESS_INHERIT:
		*ret_fd = AN__START_INHERIT;
		return 0;
	case AN_PROCESS_NULL:
		*ret_fd = AN__START_NULL;
		return 0;
	case AN_PROCESS_PIPE:
		return make_pipe(p, which, &s->opts->stream, ret_fd);
	case AN_PROCESS_FD:
		*ret_fd = io->fd;
		return 0;
	case AN_PROCESS_STDOUT:
		*ret_fd = AN__START_STDOUT;
		return 0;
	case AN_PROCESS_TERMINAL:
		return use_terminal(p, which, s);
	}
	return -EINVAL;
}

/* On failure, too, the child's ends that were made are in *s. */
static int redirect_all(an_process *p, an__start *s)
{
	const an_process_io *io[] = { &s->opts->in, &s->opts->out, &s->opts->err };
	int r = 0;

	s->terminal = -1;
	for (int i = 0; i < 3; i++)
		s->fds[i] = AN__START_INHERIT;
	for (int i = 0; r == 0 && i < 3; i++)
		r = redirect(p, i, io[i], s);
	return r;
}

static void close_child_ends(const an_process *p, const an__start *s)
{
	for (int i = 0; i < 3; i++)
		if (p->streams[i] && s->fds[i] >= 0)
			close(s->fds[i]);
	if (s->terminal >= 0)
		close(s->terminal);
}

/* ---- the call ---------------------------------------------------------------------- */

static int run_start(void *arg)
{
	an__start_child(arg);
	return 0;
}

/* The kernel sends that signal when the thread ends that has started the child: a worker
 * may end before the loop does. */
static int run_here(an__start *start)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	an__start_child(start);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return 0;
}

/* The pipes are there; *start has the rest. */
static int launch(an_process *p, an__start *start)
{
	int r = start->opts->parent_death_signal ? run_here(start)
						 : an_offload(run_start, start, NULL);

	if (r == 0)
		r = start->error;
	return r < 0 ? r : an__process_adopt(p, start);
}

static int with_pipes(const an_process_opts *opts, an__start *start, an_process **ret)
{
	an_process *p = an__process_new(an_loop_current());
	int r;

	if (!p)
		return -ENOMEM;
	p->own_group = has_own_group(opts);
	p->grace = opts->grace;
	p->linger = opts->linger;
	p->output_limit = opts->output_limit;
	r = redirect_all(p, start);
	if (r == 0)
		r = launch(p, start);
	close_child_ends(p, start);
	if (r < 0)
		an__process_discard(p);
	else
		*ret = p;
	return r;
}

static int spawn(const char *const argv[], const an_process_opts *opts, an_process **ret)
{
	const char *const *env;
	const char **made = NULL;
	char **names = NULL;
	int r = make_environment(opts, &env, &made);

	if (r == 0) {
		names = make_names(opts->program ? opts->program : argv[0], env);
		r = names ? an__processes_ready(an_loop_current()) : -ENOMEM;
	}
	if (r == 0) {
		an__start start = { .names = names,
				    .argv = (char *const *)argv,
				    .envp = (char *const *)env,
				    .opts = opts,
				    .parent = getpid() };

		r = with_pipes(opts, &start, ret);
	}
	free(names);
	free(made);
	return r;
}

int an_process_spawn(const char *const argv[], const an_process_opts *opts,
		     an_process **ret)
{
	static const an_process_opts defaults;
	int r = an__wait_check();

	if (r < 0)
		return r;
	if (!opts)
		opts = &defaults;
	if (!argv || !argv[0] || !valid(opts))
		return -EINVAL;
	if (!(opts->program ? opts->program : argv[0])[0])
		return -EINVAL;
	return all_open(opts) ? spawn(argv, opts, ret) : -EBADF;
}

int an_process_shell(const char *command, const an_process_opts *opts, an_process **ret)
{
	const char *const argv[] = { command ? SHELL : NULL, "-c", command, NULL };

	return an_process_spawn(argv, opts, ret);
}
