/* What the files process*.c share. L3.
 *
 * 	process.c              the life of a child, its end and its reaping
 * 	process-start.c        what a worker does, and the new process up to its exec()
 * 	process-attributes.c   what of it the exec() keeps: limits, whom it runs as
 * 	process-spawn.c        options, pipes, environment, names: what is made before
 * 	process-communicate.c  input and outputs at once
 * 	terminal.c             a terminal for a child
 */
#ifndef AN_LOOP_IO_PROCESS_PRIVATE_H
#define AN_LOOP_IO_PROCESS_PRIVATE_H

#include "loop/core/loop.h"
#include "loop/core/wait.h"

#include <asyncnet/error.h>
#include <asyncnet/process.h>
#include <event2/event.h>
#include <event2/event_struct.h>

/* ---- a start: process-start.c ------------------------------------------------------ */

/* What becomes of the child's descriptors 0, 1 and 2, if not another of the parent's. */
enum {
	AN__START_INHERIT = -1,
	AN__START_NULL = -2,
	AN__START_STDOUT = -3, /* of 2 alone: what 1 is */
};

/* All that the child needs is made before, since it must not allocate. */
typedef struct an__start {
	char *const *names; /* of the program, to be tried in this order; then NULL */
	char *const *argv, *const *envp;
	const an_process_opts *opts;
	pid_t parent;
	int fds[3];   /* of the parent's, or as above */
	int terminal; /* the child's end, in the parent; -1: none */

	int report[2];		/* carries the child's failure; closed by its exec() */
	volatile bool borrowed; /* the child runs in the parent's memory */

	/* What came of it: */
	int error; /* 0, and: */
	pid_t pid;
	int watch;  /* becomes readable at the child's end */
	bool pidfd; /* `watch` is one */
} an__start;

/* Starts the child and fills in the last fields; with an error there is none. With all
 * signals blocked, on a worker. */
void an__start_child(an__start *s);

/* In the child. Returns 0 or errno. */
int an__process_set_attributes(const an__start *s);

/* As pidfd_open(2): for tests, which have it fail. */
extern int (*an__pidfd_open)(pid_t pid);

/* ---- terminals: terminal.c --------------------------------------------------------- */

/* Makes a terminal: our end, as a stream, and the child's. Returns 0; -EMFILE, -ENFILE;
 * -ENOSPC when there are too many; -ENOMEM. */
int an__terminal_open(const an_process_opts *opts, an_stream **ret, int *ret_fd);

/* 0 for the default. Returns 0; -EINVAL. */
int an__terminal_resize(int fd, int rows, int columns);

/* ---- a child: process.c ------------------------------------------------------------ */

/* Kept of an output. */
typedef struct an__output {
	char *data; /* ends with a zero, if not NULL */
	size_t length, room;
} an__output;

/* RUNS ---its end, seen by the loop, which reaps it---> ENDED ---closed---> freed
 * RUNS ---closed: it is to end---> ENDS ---its end----> freed
 * The leader of a group is reaped at the last arrow alone.
 * A task in a call keeps the struct from being freed. */
enum an__process_state {
	AN__PROCESS_RUNS,
	AN__PROCESS_ENDS, /* is only on the loop's list */
	AN__PROCESS_ENDED,
};

struct an_process {
	an_loop *loop;
	an__list node; /* of the loop's children */
	enum an__process_state state;
	bool closed;
	bool unknown; /* has ended, nobody knows how */
	bool own_group;
	bool pidfd;
	bool communicating;
	unsigned calls; /* tasks that are in one and will look at the struct again */
	pid_t pid;
	int watch; /* -1 once it has been reaped */
	struct event exited;
	an__waiters waiters; /* for its end; their item is an an_process_status */
	an__timer deadline;  /* of the grace */
	an_duration grace, linger;
	an_process_status status;
	an_stream *streams[3];
	an_stream *terminal;
	bool on_terminal[3]; /* its 0, 1 and 2 */
	size_t fed;	     /* of the input */
	size_t output_limit;
	an__output outputs[2];
};

/* The loop's list of children, made at the first call. Returns 0; -ENOMEM. */
int an__processes_ready(an_loop *loop);

/* A struct for a child that is yet to be started; to be freed by free() until it is
 * adopted. Its timer is initialised. Returns NULL when memory is short. */
an_process *an__process_new(an_loop *loop);

/* Of one that has not been adopted. Closes its streams. */
void an__process_discard(an_process *p);

/* The child runs: from here on the loop watches it. Returns 0; -ENOMEM, and then the
 * child is gone and *p still to be discarded. */
int an__process_adopt(an_process *p, const an__start *start);

/* Around what looks at *p after it has suspended. */
static inline void an__process_enter(an_process *p)
{
	p->calls++;
}
int an__process_leave(an_process *p, int result);

#endif
