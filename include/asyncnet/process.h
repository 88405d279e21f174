/* Pipes, the standard streams, and child processes.
 *
 *	static const char *const argv[] = { "git", "rev-parse", "HEAD", NULL };
 *	an_process_status status;
 *	an_process *git;
 *	int r = an_process_spawn(
 *		argv, &(an_process_opts){ .out = { .to = AN_PROCESS_PIPE } }, &git);
 *
 *	if (r < 0)
 *		return r;
 *	r = an_process_communicate(git, NULL, 0, &status);
 *	if (r == 0 && status.code == 0)
 *		use(an_process_output(git, STDOUT_FILENO, &len), len);
 *	an_process_close(git);
 *
 * A child gets nothing by accident: of the descriptors only 0, 1, 2 and those passed on
 * purpose; no signal is blocked, and all have their default action, but for SIGHUP,
 * SIGINT and SIGQUIT, which stay ignored where they are (nohup(1), jobs in the
 * background). The library waits for its own children one by one, by their pidfds: it
 * neither handles SIGCHLD nor takes the status of anybody else's child, and a signal
 * never hits a process that got an old number. A child is reaped as soon as it ends, the
 * leader of a group (opts.new_group) when it is closed, so that its number stays the
 * group's until then.
 */
#ifndef ASYNCNET_PROCESS_H
#define ASYNCNET_PROCESS_H

#include <asyncnet/api.h>
#include <asyncnet/stream.h>
#include <asyncnet/time.h>
#include <sys/resource.h>
#include <sys/types.h>

AN_BEGIN_DECLS

/* ---- pipes and the standard streams ------------------------------------------------ */

/* Makes a pipe: what is written to one stream is read from the other. Both are the
 * caller's to close, each by itself; the reader sees the end when the writer was closed.
 * `opts` is for both. Never suspends.
 * Returns 0; -EMFILE, -ENFILE; -ENOMEM; AN_ERR_NO_TASK outside a loop. */
AN_API int an_pipe(const an_stream_opts *opts, an_stream **ret_reader,
		   an_stream **ret_writer);

/* Makes a stream over a descriptor that is not the caller's alone, above all
 * STDIN_FILENO, STDOUT_FILENO and STDERR_FILENO, be they a terminal, a pipe, a socket or
 * a file. `fd` stays open and does not belong to the stream, which the caller closes:
 * an_stream_drain() first, to have all written. More is read ahead than the reader asks
 * for. Never suspends.
 *
 * Others who have the same terminal or pipe, such as the shell, do not find it
 * non-blocking: the stream opens it anew. Where that cannot be (sockets, terminals of
 * another user) O_NONBLOCK is set while there is a stream, and taken away at the last
 * close or at exit(3); a program that is killed leaves it behind. What epoll refuses,
 * files and the like, is read and written by a thread of the stream's own; what was
 * written to that before the close is seen through, and the loop's end waits for it.
 *
 * A program that is started without one of the three must open /dev/null in its place
 * before it has a loop, whose descriptors get the number otherwise.
 *
 * Returns 0; -EBADF; -EMFILE, -ENFILE; -ENOMEM; AN_ERR_NO_TASK outside a loop. */
AN_API int an_stream_borrow(int fd, const an_stream_opts *opts, an_stream **ret);

/* ---- child processes --------------------------------------------------------------- */

/* A child of this loop; opaque. */
typedef struct an_process an_process;

/* What becomes of the child's descriptor 0, 1 or 2. */
typedef enum an_process_redirect {
	AN_PROCESS_INHERIT, /* the parent's, unless that is closed or close-on-exec */
	AN_PROCESS_NULL,    /* /dev/null */
	AN_PROCESS_PIPE,    /* a pipe, of which the other end is an_process_stream() */
	AN_PROCESS_FD,	    /* `fd`, borrowed for the call */
	AN_PROCESS_STDOUT,  /* for stderr: wherever stdout goes */
	/* A terminal of the child's own, one for all that say so, as for programs that
	 * behave otherwise without. The other end is an an_process_stream() to read from
	 * and write to, where a '\3' is a Ctrl-C. Makes it the leader of a session. */
	AN_PROCESS_TERMINAL,
} an_process_redirect;

/* Written as { .to = AN_PROCESS_PIPE } or { AN_PROCESS_FD, fd }. */
typedef struct an_process_io {
	an_process_redirect to;
	int fd;
} an_process_io;

/* A limit of the kernel's on a child: RLIMIT_NOFILE and the like. */
typedef struct an_process_limit {
	int resource;
	struct rlimit value;
} an_process_limit;

/* Of an_process_spawn() and an_process_shell(); borrowed for the call. */
typedef struct an_process_opts {
	an_process_io in, out, err;
	/* What is run in the place of argv[0], which is then a mere name. NULL: that. */
	const char *program;
	/* Where it runs; NULL: here. Relative names of programs, and in PATH, are looked
	 * for from there. */
	const char *directory;
	/* "NAME=value" each, up to a NULL. `env` is the whole environment; NULL: the
	 * parent's. Those in `env_add` are added or take the place of others; "NAME"
	 * alone is taken out. */
	const char *const *env, *const *env_add;
	/* Descriptors above 2 that the child gets under the same numbers. */
	const int *pass_fds;
	size_t pass_count;
	/* Makes it the leader of a process group of its own, or of a session, which has
	 * no terminal: signals sent here then go to the whole group, and the close ends
	 * all of it, so that a shell does not leave behind what it has started. What
	 * makes itself a group of its own (a daemon, a job of an interactive shell) gets
	 * away. A Ctrl-C at the terminal does not reach another group. */
	bool new_group, new_session;
	/* A group that is there, to be in; 0: the parent's. For a pipeline of children:
	 * the first with new_group, the others with its number, which is sure until that
	 * one is closed. Signals sent here go to the one child. */
	pid_t process_group;
	/* Whom it runs as, which takes the right to; the folder and redirections are
	 * still the parent's doing. NULL: as the parent. Without `groups` another user
	 * has no supplementary ones. Numbers: names are for getpwnam(3). The start takes
	 * longer the more memory the parent has (20 ms for 200 MiB), on a worker: the
	 * child must not share it. -1 is nobody's number: -EINVAL. */
	const uid_t *user;
	const gid_t *group, *groups;
	size_t group_count;  /* of `groups`, and may be 0 */
	const mode_t *umask; /* NULL: the parent's */
	int nice;	     /* added to the parent's, as far as that goes */
	const an_process_limit *limits;
	size_t limit_count;
	/* Sent to the child by the kernel when the loop's thread ends, be it by a SIGKILL
	 * to the whole program, so that no close comes to it; 0: none. A child that runs
	 * a set-user-ID program loses it, as do its own children. The start then holds
	 * up the loop, by a millisecond or two, since a worker's end is not the
	 * program's. */
	int parent_death_signal;
	/* From SIGTERM to SIGKILL in an_process_close(); 0: 5 s, ample to write a file
	 * and remove a lock; negative: SIGKILL at once. */
	an_duration grace;
	/* How long an_process_communicate() still reads when the child has ended, but
	 * another process has its outputs open; 0: until that closes them. */
	an_duration linger;
	/* Bytes of each output that an_process_communicate() keeps; 0: 16 MiB, much for
	 * a message and little for a machine. */
	size_t output_limit;
	int terminal_rows, terminal_columns; /* 0: 24 and 80 */
	an_stream_opts stream;
} an_process_opts;

/* How a child has ended. */
typedef struct an_process_status {
	int code;   /* 0 to 255; -1: by a signal */
	int signal; /* 0: none */
} an_process_status;

/* Starts a program. `argv` ends with NULL; argv[0] names the program, which is looked for
 * in PATH (the child's, if its environment says another) unless there is a '/' in it. No
 * shell is involved. Suspends while a worker thread starts it; once that has begun, a
 * cancellation comes too late, and is seen at the next suspending call.
 * Returns 0 and a process that the caller closes; what the start failed with, in the
 * child as well: -ENOENT, -EACCES, -ENOEXEC, -E2BIG, -ENOTDIR; -EBADF for a descriptor
 * that is not open; -EMFILE, -ENFILE; -EAGAIN when there may be no more processes or
 * threads; -EPERM for a user, group, limit or priority that it may not have; -EINVAL
 * without a program, or for options that cannot be; -ENOMEM; -ECANCELED;
 * AN_ERR_NO_TASK. */
AN_API AN_SUSPENDS int an_process_spawn(const char *const argv[],
					const an_process_opts *opts, an_process **ret);

/* Has /bin/sh run a command, with all that a shell makes of `command`: never put what
 * others have sent into it; pass it by env_add, and write "$NAME". Otherwise as above;
 * what the shell does not find shows in its status, 127. */
AN_API AN_SUSPENDS int an_process_shell(const char *command, const an_process_opts *opts,
					an_process **ret);

/* Ends it all, and never suspends: closes the streams, sends SIGTERM (and SIGCONT, for
 * one that is stopped) and, after the grace, SIGKILL; the loop reaps the child in the
 * background, and the loop's end waits for that. Of a process group the others get
 * SIGKILL when the leader ends, or now if it has ended before. A child that has ended is
 * otherwise just forgotten. Tasks that wait for it get AN_ERR_CLOSED. A process that its
 * owner has not closed when the loop ends is closed there, and the handle is invalid.
 * Accepts NULL, returns NULL. */
AN_API an_process *an_process_close(an_process *p);

/* Waits for the child's end. Suspends. May be called by several tasks and again and
 * again; cancelled, it leaves the child alone. A child whose output nobody reads may
 * never end: an_process_communicate() reads it. *ret_status may be NULL.
 * Returns 0; -ECANCELED; AN_ERR_CLOSED when the process was closed meanwhile; -ECHILD
 * when the child has ended, but the program ignores SIGCHLD or has waited for it by
 * itself, so that nobody knows how; AN_ERR_NO_TASK. */
AN_API AN_SUSPENDS int an_process_wait(an_process *p, an_process_status *ret_status);

/* The same without waiting. Never suspends. Returns 0; -EAGAIN while it runs;
 * -ECHILD. */
AN_API int an_process_poll(const an_process *p, an_process_status *ret_status);

/* Sends a signal to the child, or to its process group if it has one of its own, which
 * may outlive its leader. Never suspends. Returns 0; -ESRCH when it has ended, and for a
 * group when others than the library have waited for the leader; -EINVAL; -EPERM. */
AN_API int an_process_signal(an_process *p, int signal);

/* The same with SIGTERM, which asks it to end. */
AN_API int an_process_terminate(an_process *p);

/* The same with SIGKILL, which ends it. */
AN_API int an_process_kill(an_process *p);

/* The child's number: for messages, not for kill(2). Never suspends. */
AN_API pid_t an_process_pid(const an_process *p);

/* The parent's end of a pipe: STDIN_FILENO to write to, STDOUT_FILENO and STDERR_FILENO
 * to read from; or that of the terminal, the same for each that is one, for both. What
 * comes from a terminal ends when nobody has it open any more. Borrowed until it is
 * closed here or the process is. NULL when that is neither, or closed. Never suspends. */
AN_API an_stream *an_process_stream(const an_process *p, int fd);

/* Closes that end: the child sees the end of its input (an_stream_drain() before, to have
 * all arrive), or gets SIGPIPE at its next output; from its terminal, SIGHUP. No effect
 * without a pipe or a terminal. Never suspends. */
AN_API void an_process_stream_close(an_process *p, int fd);

/* Says how large the terminal is now, in characters, 0: 24 and 80; the child gets
 * SIGWINCH. Never suspends. Returns 0; -EINVAL; -ENOTTY without a terminal, or when it
 * has been closed. */
AN_API int an_process_resize(an_process *p, int rows, int columns);

/* Writes `input` to the child, closes its stdin, reads stdout and stderr, all at once,
 * and waits for its end; each of the three as far as it is a pipe. Suspends. What is read
 * is kept (an_process_output()). A child that does not want all of its input is no error.
 *
 * Nothing is lost when the call is cancelled: what was read is there, and a second call
 * with the same input goes on where the first one stopped. The child is left alone.
 *
 * Returns 0 and how it has ended (may be NULL); -ECANCELED; AN_ERR_LIMIT when an output
 * is longer than the limit: that many bytes are kept, the rest is in the stream or the
 * pipe; -EBUSY while another task is in this call; -ECHILD and AN_ERR_CLOSED as
 * an_process_wait(), with all outputs kept in the former case; -EIO and other errors of
 * the streams; -ENOMEM; AN_ERR_NO_TASK. */
AN_API AN_SUSPENDS int an_process_communicate(an_process *p, const void *input,
					      size_t len, an_process_status *ret_status);

/* What an_process_communicate() has read so far from STDOUT_FILENO or STDERR_FILENO, with
 * a zero behind it that *ret_len (may be NULL) does not count; "" when that is nothing.
 * Borrowed until the next an_process_communicate() or the close; while one is under way,
 * until the caller suspends. Never NULL, never suspends. */
AN_API const char *an_process_output(const an_process *p, int fd, size_t *ret_len);

AN_END_DECLS

#endif
