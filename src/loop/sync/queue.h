/* Who stands in a queue's lines, for those that wait on more than one queue. L2.
 *
 * A select tries each of its queues (an_queue_tryput(), an_queue_tryget()) and, when none
 * is ready, parks one party for each by an__wait_many(): on q->getters, or on q->putters
 * with its item. Whoever serves the line cannot tell it from a plain get or put.
 */
#ifndef AN_LOOP_SYNC_QUEUE_H
#define AN_LOOP_SYNC_QUEUE_H

#include "loop/core/wait.h"

/* Woken with 0: its item has been taken, or is there. With AN_ERR_CLOSED: neither. */
struct an__queue_party {
	an__waiter waiter;
	void *item; /* a putter's to hand over, a getter's when it was woken with 0 */
};

#endif
