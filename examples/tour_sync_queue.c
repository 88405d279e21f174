/* The second chapter of tour_sync: queues. Their orders, producers and consumers, the
 * ways to end, and a queue between threads. */
#include "tour.h"

#include <errno.h>
#include <pthread.h>

/* ---- orders ------------------------------------------------------------------------ */

/* A queue holds pointers; who puts and who takes agree on who owns what they point to.
 * All that is put here is static. */
struct parcel {
	int urgency;
	char to[16];
};

static struct parcel parcels[] = {
	{ 2, "Ann" },
	{ 1, "Ben" },
	{ 2, "Cyd" },
	{ 0, "Dan" },
};
enum { PARCELS = sizeof(parcels) / sizeof(*parcels) };

/* The least first, as for qsort(). */
static int by_urgency(const void *a, const void *b)
{
	const struct parcel *p = a, *q = b;

	return (p->urgency > q->urgency) - (p->urgency < q->urgency);
}

/* put_nowait() and get_nowait() */
static int put_all_take_all(const an_queue_opts *opts)
{
	an_queue queue;
	void *item;
	int r = an_queue_init_with(&queue, opts);

	if (r)
		return r;
	for (size_t i = 0; i < PARCELS && !r; i++)
		r = an_queue_tryput(&queue, &parcels[i]);
	while (!r && !(r = an_queue_tryget(&queue, &item)))
		tour_say("%s, %d", ((struct parcel *)item)->to,
			 ((struct parcel *)item)->urgency);
	an_queue_done(&queue);
	return r == -EAGAIN ? 0 : r;
}

/* asyncio.Queue */
static int oldest_first(void *arg)
{
	(void)arg;
	return put_all_take_all(&(an_queue_opts){ .capacity = AN_QUEUE_UNBOUNDED });
}

/* asyncio.LifoQueue */
static int newest_first(void *arg)
{
	(void)arg;
	return put_all_take_all(&(an_queue_opts){ .capacity = AN_QUEUE_UNBOUNDED,
						  .order = AN_QUEUE_LIFO });
}

/* asyncio.PriorityQueue, but equal ones stay in the order in which they came. */
static int most_urgent_first(void *arg)
{
	(void)arg;
	return put_all_take_all(&(an_queue_opts){ .capacity = AN_QUEUE_UNBOUNDED,
						  .order = AN_QUEUE_PRIORITY,
						  .compare = by_urgency });
}

/* ---- a limit ----------------------------------------------------------------------- */

static int put_three(void *arg)
{
	an_queue *queue = arg;
	int r = 0;

	for (size_t i = 0; i < 3 && !r; i++) {
		r = an_queue_put(queue, &parcels[i]);
		tour_say("put %s: %s", parcels[i].to, tour_code(r));
	}
	return r;
}

static int take_three_slowly(an_queue *queue)
{
	void *item;
	int r = 0;

	for (size_t i = 0; i < 3 && !r; i++) {
		r = an_sleep(10 * AN_MILLISECOND);
		if (!r)
			r = an_queue_get(queue, &item);
		if (!r)
			tour_say("took %s", ((struct parcel *)item)->to);
	}
	return r;
}

/* asyncio.Queue(maxsize=1): who produces too fast waits, so that memory stays bounded. A
 * capacity of 0 is asyncio's "no limit" but a rendezvous here, from hand to hand. */
static int bounded_queue(void *arg)
{
	an_queue queue;
	an_group group;
	int r;

	(void)arg;
	an_queue_init(&queue, 1);
	an_group_begin(&group);
	an_group_fail(&group, an_group_spawn(&group, put_three, &queue));
	an_group_fail(&group, take_three_slowly(&queue));
	r = an_group_end(&group);
	an_queue_done(&queue);
	return r;
}

/* ---- producers and consumers ------------------------------------------------------- */

/* Takes until the queue is closed and empty.
 *
 * In the guides' sample each consumer takes a fixed number of items, and all of them
 * together want more than are made: the last ones wait for ever. Who produces knows when
 * there is nothing more, and says so: that is what closing is for. */
static int consume(void *arg)
{
	an_queue *queue = arg;
	const char *name = an_task_name(an_current());
	void *item;
	int r;

	while (!(r = an_queue_get(queue, &item))) {
		tour_say("%s has %s", name, ((struct parcel *)item)->to);
		r = an_sleep(15 * AN_MILLISECOND);
		if (r)
			return r;
	}
	tour_say("%s: %s", name, tour_code(r));
	return r == AN_ERR_CLOSED ? 0 : r;
}

static int produce(void *arg)
{
	an_queue *queue = arg;
	int r = 0;

	for (size_t i = 0; i < PARCELS && !r; i++) {
		r = an_queue_put(queue, &parcels[i]);
		if (!r)
			r = an_sleep(5 * AN_MILLISECOND);
	}
	an_queue_close(queue); /* on every way out: nobody shall wait in vain */
	return r;
}

/* queue.shutdown(), since Python 3.13 */
static int produce_and_consume(void *arg)
{
	an_queue queue;
	an_group group;
	int r;

	(void)arg;
	an_queue_init(&queue, 2);
	an_group_begin(&group);
	an_group_fail(&group, an_group_spawn_with(&group, consume, &queue,
						  &(an_task_opts){ .name = "Xan" }));
	an_group_fail(&group, an_group_spawn_with(&group, consume, &queue,
						  &(an_task_opts){ .name = "Yul" }));
	an_group_fail(&group, an_group_spawn(&group, produce, &queue));
	r = an_group_end(&group);
	an_queue_done(&queue);
	return r;
}

static int serve(void *arg)
{
	an_queue *queue = arg;
	void *item;
	int r;

	while (!(r = an_queue_get(queue, &item))) {
		r = an_sleep(10 * AN_MILLISECOND);
		tour_say("%s: %s", ((struct parcel *)item)->to,
			 r ? tour_code(r) : "dealt with");
		an_queue_task_done(queue); /* on every way, or join() waits for ever */
		if (r)
			break;
	}
	return r;
}

/* queue.task_done() and queue.join(): "empty" is not "dealt with". The workers run on
 * when all is done, and are cancelled then. */
static int wait_until_all_is_dealt_with(void *arg)
{
	an_queue queue;
	an_group group;
	int r = 0, ended;

	(void)arg;
	an_queue_init(&queue, AN_QUEUE_UNBOUNDED);
	an_group_begin(&group);
	an_group_fail(&group, an_group_spawn(&group, serve, &queue));
	an_group_fail(&group, an_group_spawn(&group, serve, &queue));
	for (size_t i = 0; i < PARCELS && !r; i++)
		r = an_queue_tryput(&queue, &parcels[i]);
	if (!r)
		r = an_queue_join(&queue);
	tour_say("all is dealt with: %s", tour_code(r));
	an_group_fail(&group, r);
	an_group_cancel(&group);
	ended = an_group_end(&group);
	an_queue_done(&queue);
	return r ? r : ended;
}

/* ---- the ends ---------------------------------------------------------------------- */

static void send_back(void *arg, void *item)
{
	(void)arg;
	tour_say("sent back: %s", ((struct parcel *)item)->to);
}

/* Closed, a queue takes no more and is emptied first; closed now, what is in it is given
 * to a function that knows who owns it. */
static int close_queues(void *arg)
{
	an_queue queue;
	void *item;
	int r;

	(void)arg;
	an_queue_init(&queue, AN_QUEUE_UNBOUNDED);
	r = an_queue_tryput(&queue, &parcels[0]);
	if (!r)
		r = an_queue_tryput(&queue, &parcels[1]);
	if (!r)
		r = an_queue_tryput(&queue, &parcels[2]);
	an_queue_close(&queue);
	tour_say("closed; put: %s", tour_code(an_queue_tryput(&queue, &parcels[3])));
	if (!r)
		r = an_queue_get(&queue, &item);
	if (!r)
		tour_say("get: %s; %zu left", ((struct parcel *)item)->to,
			 an_queue_count(&queue));
	an_queue_close_now(&queue, send_back, NULL);
	tour_say("closed now; get: %s", tour_code(an_queue_tryget(&queue, &item)));
	an_queue_done(&queue);
	return r;
}

/* ---- between threads --------------------------------------------------------------- */

/* A thread without a loop: the same calls block it where they suspend a task. */
static void *deliver(void *arg)
{
	an_thread_queue *queue = arg;

	for (size_t i = 0; i < PARCELS; i++)
		if (an_thread_queue_put(queue, &parcels[i]))
			break;
	an_thread_queue_close(queue);
	an_thread_queue_unref(queue);
	return NULL;
}

static int take_from(an_thread_queue *queue)
{
	void *item;
	int r;

	while (!(r = an_thread_queue_get(queue, &item)))
		tour_say("from the thread: %s", ((struct parcel *)item)->to);
	return r == AN_ERR_CLOSED ? 0 : r;
}

/* asyncio's queues are for one thread, as an_queue is; janus.Queue is what people take
 * instead. Each side has a reference, and the last one frees it. */
static int queue_between_threads(void *arg)
{
	an_thread_queue *queue;
	pthread_t thread;
	int r = an_thread_queue_new(2, &queue);

	(void)arg;
	if (r)
		return r;
	r = -pthread_create(&thread, NULL, deliver, an_thread_queue_ref(queue));
	if (r) {
		an_thread_queue_unref(queue);
	} else {
		r = take_from(queue);
		an_thread_queue_close(queue); /* if we were cancelled: it ends, too */
		pthread_join(thread, NULL);
	}
	an_thread_queue_unref(queue);
	return r;
}

const struct tour_section tour_sync_queues[] = {
	{ "The oldest first", .task = oldest_first },
	{ "The newest first", .task = newest_first },
	{ "The most urgent first", .task = most_urgent_first },
	{ "A full queue has the producer wait", .task = bounded_queue },
	{ "Producers and consumers", .task = produce_and_consume },
	{ "Until all is dealt with", .task = wait_until_all_is_dealt_with },
	{ "Closed, and closed now", .task = close_queues },
	{ "A queue between threads", .task = queue_between_threads },
	{ 0 },
};
