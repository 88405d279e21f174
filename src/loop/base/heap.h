/* A stable priority queue of deadlines: equal ones leave in the order they came. L0.
 *
 * A 4-ary heap in an array. Each entry carries its key, so that moving through the heap
 * touches the nodes only to tell them their new place; a node knows its place, so that
 * any can be removed. Room is reserved when a node is made, so that inserting cannot
 * fail.
 */
#ifndef AN_LOOP_BASE_HEAP_H
#define AN_LOOP_BASE_HEAP_H

#include <asyncnet/time.h>

typedef struct an__heap_node {
	an_duration deadline;
	size_t place; /* from 1; 0: not in the heap */
} an__heap_node;

typedef struct an__heap {
	struct an__heap_entry {
		an_duration deadline;
		uint64_t seq;
		an__heap_node *node;
	} *entries;
	size_t used, room, reserved;
	uint64_t next_seq;
} an__heap;

/* A zeroed heap is empty. All nodes must have been removed. */
void an__heap_done(an__heap *h);

/* Makes sure that one node more than before has room. Returns 0; -ENOMEM. */
int an__heap_reserve(an__heap *h);
void an__heap_unreserve(an__heap *h);

/* Inserts the node, or moves it when it is in the heap, behind all of the same
 * deadline. */
void an__heap_set(an__heap *h, an__heap_node *n, an_duration deadline);

/* No effect on a node that is not in the heap. */
void an__heap_remove(an__heap *h, an__heap_node *n);

/* The first to leave, or NULL. */
static inline an__heap_node *an__heap_first(const an__heap *h)
{
	return h->used ? h->entries[0].node : NULL;
}

#endif
