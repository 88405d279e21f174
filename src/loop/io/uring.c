/* Operations on files by io_uring: see uring.h. L3.
 *
 * A ring for each loop, made with its first operation. What is asked for in one turn is
 * handed to the kernel by one system call at the turn's end. An eventfd tells of what has
 * ended; its event stays on the base for the loop's life, but does not count as something
 * that tasks wait for: the operations hold the loop themselves.
 *
 *	QUEUED --turn's end--> PREPARED --kernel took it--> FLYING --completion--> ENDED
 *	  |                       |
 *	  +--cancelled: gone      +--the kernel refuses: REFUSED, as those QUEUED
 *
 * Falling back is for good: where the ring cannot be had, lacks an operation, or cannot
 * be entered any more, the loop's workers do everything from then on. What is flying then
 * still ends. No ring is ever used in a child of fork(): its memory is not mapped there.
 *
 * Invariant: `used` operations, at most ENTRIES, are in some state before ENDED, each
 * holding the loop; so neither of the kernel's queues can overflow.
 */
#include "config.h"

#include <asyncnet/error.h>

#include "loop/base/alloc.h"
#include "loop/core/loop.h"
#include "loop/core/trace.h"
#include "loop/core/wait.h"
#include "loop/io/uring.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#else
#define VALGRIND_MAKE_MEM_DEFINED(start, len) ((void)(start), (void)(len))
#endif

#define ENTRIES 128

/* Position -1 works, for pipes; completions are never dropped. */
#define FEATURES (IORING_FEAT_RW_CUR_POS | IORING_FEAT_NODROP)

static const an__wait_kind for_ring = { .what = "the disk" };

enum op_state {
	OP_QUEUED,
	OP_PREPARED,
	OP_FLYING,
	OP_ENDED,
	OP_REFUSED,
};

struct op {
	an__list node; /* in the ring's `queued` or `prepared` */
	an__waiter waiter;
	enum op_state state;
	int result;
	int opcode, fd;
	void *buf;
	unsigned len, flags; /* flags: of a sync */
	off_t offset;
};

struct ring {
	struct io_uring io;
	an_loop *loop;
	struct event event;
	int eventfd;
	an__turn_hook submission;
	an__list queued, prepared; /* in the order of the asking */
	unsigned used, flying;
	long done;
	bool open, refused;
};

/* ---- what has ended --------------------------------------------------------------- */

static void end(struct ring *r, struct op *op, enum op_state state, int result)
{
	op->state = state;
	op->result = result;
	r->used--;
	an__loop_release(r->loop);
	/* Unless a cancellation has woken it: the task is ready then. */
	an__wake(&op->waiter, 0);
}

static void reap(struct ring *r)
{
	struct io_uring_cqe *cqe;
	unsigned head, count = 0;

	io_uring_for_each_cqe(&r->io, head, cqe) {
		count++;
		r->flying--;
		r->done++;
		end(r, io_uring_cqe_get_data(cqe), OP_ENDED, cqe->res);
	}
	io_uring_cq_advance(&r->io, count);
}

static void on_completion(evutil_socket_t fd, short events, void *arg)
{
	struct ring *r = arg;
	uint64_t count;

	(void)events;
	/* Before the look at the queue: what comes after that tells again. */
	if (read(fd, &count, sizeof count) < 0 && errno != EAGAIN && errno != EINTR)
		return;
	reap(r);
	if (!an__list_empty(&r->prepared))
		an__loop_at_turn_end(r->loop, &r->submission);
}

/* ---- handing over ----------------------------------------------------------------- */

static void refuse_all(struct ring *r, an__list *ops)
{
	an__list *node;

	while ((node = an__list_pop(ops)))
		end(r, an__container(node, struct op, node), OP_REFUSED, 0);
}

/* For good. What the kernel has not taken from its queue it never will: nobody enters the
 * ring again. */
static void refuse(struct ring *r, int error)
{
	r->refused = true;
	an__trace_message(AN_LOG_INFO, "io_uring is not used for files: %s",
			  an_strerror(error));
	refuse_all(r, &r->prepared);
	refuse_all(r, &r->queued);
}

static void prepare(struct ring *r, struct op *op)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&r->io);

	io_uring_prep_rw(op->opcode, sqe, op->fd, op->buf, op->len,
			 (uint64_t)op->offset);
	if (op->opcode == IORING_OP_FSYNC)
		sqe->fsync_flags = op->flags;
	io_uring_sqe_set_data(sqe, op);
	op->state = OP_PREPARED;
	an__list_push(&r->prepared, &op->node);
}

static void taken(struct ring *r, int count)
{
	while (count-- > 0) {
		an__list *node = an__list_pop(&r->prepared);

		an__container(node, struct op, node)->state = OP_FLYING;
		r->flying++;
	}
}

/* Without memory, or with too much under way, the kernel takes some later: when one of
 * those that it has comes back, all others are tried again. */
static void submit(an__turn_hook *hook)
{
	struct ring *r = an__container(hook, struct ring, submission);
	an__list *node;

	while ((node = an__list_pop(&r->queued)))
		prepare(r, an__container(node, struct op, node));
	while (!an__list_empty(&r->prepared)) {
		int n = io_uring_submit(&r->io);

		if (n == -EINTR)
			continue;
		if (n > 0) {
			taken(r, n);
			continue;
		}
		if (!r->flying || (n != 0 && n != -EAGAIN && n != -EBUSY))
			refuse(r, n ? n : -EAGAIN);
		break;
	}
	reap(r);
}

/* ---- made and freed --------------------------------------------------------------- */

/* In the child: other threads' rings are not there, and no loop either. */
static void forked(void)
{
	an_loop *loop = an_loop_current();
	struct ring *r = loop ? an__loop_local(loop, AN__LOCAL_URING) : NULL;

	if (r && r->open)
		close(r->io.ring_fd);
}

static an__fork_hook fork_hook = { .forked = forked };

static int can_all(struct io_uring *io)
{
	struct io_uring_probe *probe;
	bool can;

	if ((io->features & FEATURES) != FEATURES)
		return -ENOSYS;
	probe = io_uring_get_probe_ring(io);
	can = probe && io_uring_opcode_supported(probe, IORING_OP_READ) &&
	      io_uring_opcode_supported(probe, IORING_OP_WRITE) &&
	      io_uring_opcode_supported(probe, IORING_OP_FSYNC);
	io_uring_free_probe(probe);
	return can ? 0 : -ENOSYS;
}

static int watch(struct ring *r)
{
	int error;

	r->eventfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (r->eventfd < 0)
		return -errno;
	error = io_uring_register_eventfd(&r->io, r->eventfd);
	event_assign(&r->event, an_loop_base(r->loop), r->eventfd, EV_READ | EV_PERSIST,
		     on_completion, r);
	if (error == 0 && event_add(&r->event, NULL) < 0)
		error = -ENOMEM;
	if (error < 0)
		close(r->eventfd);
	else
		an__loop_expect_no_more(r->loop); /* of this event itself */
	return error;
}

static int open_ring(struct ring *r)
{
	/* The loop's thread is not interrupted for a completion, which it finds when it
	 * next asks the kernel for anything. */
	int error = io_uring_queue_init(ENTRIES, &r->io, IORING_SETUP_COOP_TASKRUN);

	if (error == -EINVAL) /* before Linux 5.19 */
		error = io_uring_queue_init(ENTRIES, &r->io, 0);
	if (error < 0)
		return error;
	error = can_all(&r->io);
	if (error == 0)
		error = io_uring_ring_dontfork(&r->io);
	if (error == 0)
		error = watch(r);
	if (error < 0) {
		io_uring_queue_exit(&r->io);
		return error;
	}
	an__fork_hook_add(&fork_hook);
	r->open = true;
	return 0;
}

/* Nothing is under way: the operations held the loop. */
static void destroy(void *value)
{
	struct ring *r = value;

	if (r->open) {
		event_del(&r->event);
		an__loop_expect(r->loop);
		close(r->eventfd);
		io_uring_queue_exit(&r->io);
	}
	free(r);
}

static bool is_wanted(const an_loop_opts *opts)
{
	const char *word = getenv("AN_IO_URING");

	if (word && *word == '0')
		return false;
	if (opts->io_uring == AN_IO_URING_DEFAULT)
		return word && *word == '1';
	return opts->io_uring == AN_IO_URING_ON;
}

/* The loop's ring; NULL: none can be had. */
static struct ring *ring_of(an_loop *loop)
{
	struct ring *r = an__loop_local(loop, AN__LOCAL_URING);

	if (r)
		return r->refused ? NULL : r;
	r = an__calloc(1, sizeof *r);
	if (!r)
		return NULL;
	r->loop = loop;
	an__list_init(&r->queued);
	an__list_init(&r->prepared);
	an__turn_hook_init(&r->submission, submit);
	an__loop_set_local(loop, AN__LOCAL_URING, r, destroy);
	if (is_wanted(an__loop_opts(loop))) {
		int error = open_ring(r);

		if (error < 0)
			refuse(r, error);
	}
	r->refused = !r->open;
	return r->open ? r : NULL;
}

long an__uring_done(an_loop *loop)
{
	const struct ring *r = an__loop_local(loop, AN__LOCAL_URING);

	return r && !r->refused ? r->done : -1;
}

/* ---- operations -------------------------------------------------------------------- */

/* A worker can do, or tell better, what the ring could not for reasons of its own. Each
 * of these says that nothing was done. */
static bool is_for_a_worker(int result)
{
	return result == -EAGAIN || result == -EINTR || result == -EINVAL ||
	       result == -EOPNOTSUPP || result == -ECANCELED;
}

static int await(struct ring *r, struct op *op)
{
	int error = an__wait(&op->waiter, NULL, &for_ring);

	if (error < 0 && op->state == OP_QUEUED) {
		an__list_remove(&op->node);
		end(r, op, OP_ENDED, error);
		return error;
	}
	while (op->state < OP_ENDED)
		an__wait_uncancellable(&op->waiter, NULL, &for_ring);
	return 0;
}

static int perform(struct op *op, ssize_t *ret_result)
{
	an_loop *loop = an_loop_current();
	struct ring *r = loop ? ring_of(loop) : NULL;
	int error;

	if (!r || r->used == ENTRIES)
		return 0;
	r->used++;
	an__loop_hold(loop);
	an__list_push(&r->queued, &op->node);
	an__loop_at_turn_end(loop, &r->submission);
	error = await(r, op);
	if (error < 0)
		return error;
	if (op->state == OP_REFUSED || is_for_a_worker(op->result))
		return 0;
	*ret_result = op->result;
	return 1;
}

static int transfer(int opcode, int fd, void *buf, size_t len, off_t offset,
		    ssize_t *ret_result)
{
	/* No call transfers more (read(2)). */
	struct op op = { .opcode = opcode,
			 .fd = fd,
			 .buf = buf,
			 .len = len < 0x7ffff000 ? (unsigned)len : 0x7ffff000,
			 .offset = offset };

	return perform(&op, ret_result);
}

int an__uring_read(int fd, void *buf, size_t len, off_t offset, ssize_t *ret_result)
{
	int r = transfer(IORING_OP_READ, fd, buf, len, offset, ret_result);

	/* valgrind sees no system call that fills it. */
	if (r > 0 && *ret_result > 0)
		VALGRIND_MAKE_MEM_DEFINED(buf, (size_t)*ret_result);
	return r;
}

int an__uring_write(int fd, const void *data, size_t len, off_t offset,
		    ssize_t *ret_result)
{
	/* Not written to. */
	return transfer(IORING_OP_WRITE, fd, (void *)data, len, offset, ret_result);
}

int an__uring_sync(int fd, bool data_only, ssize_t *ret_result)
{
	struct op op = { .opcode = IORING_OP_FSYNC,
			 .fd = fd,
			 .flags = data_only ? IORING_FSYNC_DATASYNC : 0 };

	return perform(&op, ret_result);
}
