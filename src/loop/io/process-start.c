/* The start of a child: vfork() on a worker thread, and what the child does up to its
 * exec(). L3.
 *
 * vfork() copies no page tables, however large the parent is, and stops only the thread
 * that calls it: the loop runs on. Until its exec() the child runs in the parent's
 * memory, on that thread's stack, so it may do what a signal handler may do and no more.
 * Descriptors, signal actions and the folder are its own already.
 *
 * What fails in the child is written to a pipe that exec() closes. Where vfork() is only
 * a fork() (another user; valgrind, ThreadSanitizer, qemu) the parent has to wait for
 * that; otherwise it must not, since another thread's child may hold the pipe, too, for
 * as long as it pleases: the parent returns from vfork() when all is said.
 */
#include "config.h"

#include "loop/base/alloc.h"
#include "loop/io/process-private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1u << 2)
#endif

#define STDIO_COUNT 3
#define DESCRIPTORS_MAX (1 << 20) /* as fs.nr_open has it */

/* ---- in the child ------------------------------------------------------------------ */

/* What exec() would keep: ignored signals. A signal that comes before the exec() must not
 * run a handler of the parent's. Returns 0 or errno, as all of these do. */
static int reset_signals(void)
{
	struct sigaction action;
	sigset_t none;

	for (int n = 1; n < NSIG; n++) {
		if (sigaction(n, NULL, &action) || action.sa_handler == SIG_DFL)
			continue;
		if (action.sa_handler == SIG_IGN &&
		    (n == SIGHUP || n == SIGINT || n == SIGQUIT))
			continue;
		action = (struct sigaction){ .sa_handler = SIG_DFL };
		sigaction(n, &action, NULL);
	}
	sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL) ? errno : 0;
}

/* A source that lies where another one is to go has to move. */
static int move_up(int *fd)
{
	if (*fd < 0 || *fd >= STDIO_COUNT)
		return 0;
	*fd = fcntl(*fd, F_DUPFD_CLOEXEC, STDIO_COUNT);
	return *fd < 0 ? errno : 0;
}

/* Whether the parent has nothing there, or something that it keeps to itself: where a
 * program has closed its stdout, that may be a descriptor of the library's. */
static bool withheld(int fd)
{
	int flags = fcntl(fd, F_GETFD);

	return flags < 0 || flags & FD_CLOEXEC;
}

static int put(const int from[STDIO_COUNT], int to)
{
	int fd = from[to] == AN__START_STDOUT ? STDOUT_FILENO : from[to];

	if (fd == AN__START_INHERIT)
		return 0;
	if (from[to] == AN__START_STDOUT && withheld(fd))
		return EBADF;
	if (fd == to)
		return fcntl(fd, F_SETFD, 0) < 0 ? errno : 0;
	return dup2(fd, to) < 0 ? errno : 0;
}

static int place_stdio(const an__start *s)
{
	int from[STDIO_COUNT], error = 0;

	for (int to = 0; to < STDIO_COUNT; to++) {
		from[to] = s->fds[to];
		if (from[to] == AN__START_NULL) {
			from[to] = open("/dev/null", O_RDWR | O_CLOEXEC);
			if (from[to] < 0)
				return errno;
		}
		if (from[to] != to)
			error = move_up(&from[to]);
		if (error)
			return error;
	}
	for (int to = 0; to < STDIO_COUNT && !error; to++)
		error = put(from, to);
	return error;
}

/* Of a folder with a record for each descriptor, without any memory. */
struct entry {
	uint64_t inode;
	int64_t offset;
	unsigned short length;
	unsigned char type;
	char name[];
};

static bool seal_listed(void)
{
	int folder = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_Alignas(struct entry) char buf[1024];
	long n;

	if (folder < 0)
		return false;
	while ((n = syscall(SYS_getdents64, folder, buf, sizeof buf)) > 0) {
		for (long at = 0; at < n;) {
			const struct entry *e = (const void *)(buf + at);
			int fd = 0;

			for (const char *c = e->name; *c >= '0' && *c <= '9'; c++)
				fd = fd * 10 + (*c - '0');
			if (fd >= STDIO_COUNT)
				fcntl(fd, F_SETFD, FD_CLOEXEC);
			at += e->length;
		}
	}
	close(folder);
	return n == 0;
}

/* Where nobody says which there are: all that there can be. */
static void seal_each(void)
{
	struct rlimit limit;
	int end = DESCRIPTORS_MAX;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < (rlim_t)end)
		end = (int)limit.rlim_cur;
	for (int fd = STDIO_COUNT; fd < end; fd++)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/* All others are closed by the exec(), be they marked by their makers or not. */
static int seal(const an__start *s)
{
	/* Linux 5.11 and later, and not in every sandbox. */
	if (syscall(SYS_close_range, STDIO_COUNT, ~0u, CLOSE_RANGE_CLOEXEC) &&
	    !seal_listed())
		seal_each();
	for (size_t i = 0; i < s->opts->pass_count; i++)
		if (fcntl(s->opts->pass_fds[i], F_SETFD, 0) < 0)
			return errno;
	return 0;
}

/* Of one folder of PATH; there may be another. */
static bool is_elsewhere(int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
	case EACCES:
	case ENAMETOOLONG:
	case ELOOP:
	case ENODEV:
	case ESTALE:
	case ETIMEDOUT:
		return true;
	default:
		return false;
	}
}

/* A program that may not be run does not hide one further down PATH, but is the reason
 * when there is none. */
static int run_program(const an__start *s)
{
	int error = ENOENT;

	for (char *const *name = s->names; *name; name++) {
		execve(*name, s->argv, s->envp);
		if (!is_elsewhere(errno))
			return errno;
		if (errno == EACCES || !s->names[1])
			error = errno;
	}
	return error;
}

static int set_group(const an__start *s)
{
	const an_process_opts *opts = s->opts;

	if (opts->new_session || s->terminal >= 0)
		return setsid() < 0 ? errno : 0;
	if (!opts->new_group && !opts->process_group)
		return 0;
	return setpgid(0, opts->new_group ? 0 : opts->process_group) < 0 ? errno : 0;
}

static int become(const an__start *s)
{
	int error = set_group(s);

	if (error)
		return error;
	/* The first one of a session's leader becomes that of the session. */
	if (s->terminal >= 0 && ioctl(s->terminal, TIOCSCTTY, 0) < 0)
		return errno;
	if (s->opts->directory && chdir(s->opts->directory) < 0)
		return errno;
	error = place_stdio(s);
	if (!error)
		error = seal(s);
	if (!error)
		error = reset_signals();
	if (!error)
		error = an__process_set_attributes(s);
	return error ? error : run_program(s);
}

static __attribute__((noreturn, noinline)) void in_child(an__start *s)
{
	int error;

	s->borrowed = true;
	error = become(s);
	while (write(s->report[1], &error, sizeof error) < 0 && errno == EINTR)
		;
	_exit(127);
}

/* ---- in the parent ----------------------------------------------------------------- */

/* Above the descriptors that the child replaces. */
static int make_report(int report[2])
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	for (int i = 0; i < 2; i++) {
		report[i] = fds[i];
		if (fds[i] >= STDIO_COUNT)
			continue;
		report[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, STDIO_COUNT);
		close(fds[i]);
	}
	if (report[0] >= 0 && report[1] >= 0)
		return 0;
	for (int i = 0; i < 2; i++)
		if (report[i] >= 0)
			close(report[i]);
	return -EMFILE;
}

/* 0, or the negative of what the child has said. */
static int read_report(const an__start *s)
{
	struct pollfd p = { .fd = s->report[0], .events = POLLIN };
	int error;

	while (!s->borrowed && poll(&p, 1, -1) < 0 && errno == EINTR)
		;
	return read(s->report[0], &error, sizeof error) == sizeof error ? -error : 0;
}

static void reap(pid_t pid)
{
	siginfo_t info;

	while (waitid(P_PID, (id_t)pid, &info, WEXITED) < 0 && errno == EINTR)
		;
}

/* A fork() without the handlers of libc and of others, which are for children that go
 * on. */
static pid_t fork_alone(void)
{
#ifdef SYS_fork
	return (pid_t)syscall(SYS_fork);
#else
	return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
#endif
}

/* Returns in the parent alone. A child of another user gets memory of its own: that user
 * must not come at the parent's, nor the change of the user make that one undumpable. */
static __attribute__((noinline)) pid_t divide(an__start *s)
{
	const an_process_opts *o = s->opts;
	pid_t pid = o->user || o->group || o->groups ? fork_alone() : vfork();

	if (pid == 0)
		in_child(s);
	return pid;
}

static int start(an__start *s)
{
	int r = make_report(s->report);

	if (r < 0)
		return r;
	s->pid = divide(s);
	r = s->pid < 0 ? -errno : 0;
	close(s->report[1]);
	if (r == 0) {
		r = read_report(s);
		if (r < 0)
			reap(s->pid);
	}
	close(s->report[0]);
	return r;
}

/* ---- how the loop hears of the child's end ----------------------------------------- */

static int open_pidfd(pid_t pid)
{
#ifdef SYS_pidfd_open
	return (int)syscall(SYS_pidfd_open, pid, 0);
#else
	(void)pid;
	errno = ENOSYS;
	return -1;
#endif
}

int (*an__pidfd_open)(pid_t pid) = open_pidfd;

struct watcher {
	pid_t pid;
	int pipe;
};

static void *watch(void *arg)
{
	struct watcher w = *(struct watcher *)arg;
	siginfo_t info;

	free(arg);
	/* Left a zombie, for the loop to reap: until then its number is nobody else's. */
	while (waitid(P_PID, (id_t)w.pid, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR)
		;
	close(w.pipe);
	return NULL;
}

/* Without pidfds (Linux before 5.3, and some sandboxes): a thread for the child, which
 * closes a pipe at its end. Not one of the pool's, which has few, and a child may live
 * for long. Returns the descriptor or an error. */
static int start_watcher(pid_t pid)
{
	struct watcher *w = an__malloc(sizeof *w);
	pthread_t thread;
	int fds[2], r;

	if (!w)
		return -ENOMEM;
	if (pipe2(fds, O_CLOEXEC) < 0) {
		r = -errno;
		free(w);
		return r;
	}
	*w = (struct watcher){ pid, fds[1] };
	r = pthread_create(&thread, NULL, watch, w);
	if (r) {
		close(fds[0]);
		close(fds[1]);
		free(w);
		return -r;
	}
	pthread_detach(thread);
	return fds[0];
}

static int watch_child(an__start *s)
{
	s->watch = an__pidfd_open(s->pid);
	s->pidfd = s->watch >= 0;
	if (s->pidfd)
		return 0;
	if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
		return -errno;
	s->watch = start_watcher(s->pid);
	return s->watch < 0 ? s->watch : 0;
}

void an__start_child(an__start *s)
{
	s->error = start(s);
	if (s->error < 0)
		return;
	s->error = watch_child(s);
	if (s->error < 0) {
		kill(s->pid, SIGKILL);
		reap(s->pid);
	}
}
