/* Very many deadlines, most of which are called off before they come. L0.
 *
 * A heap keeps those that come soon in their exact order; a wheel in front of it keeps
 * the others roughly, on lists by the tick (about a millisecond) of their deadline. To
 * set and to remove what is far off is O(1), and touches no more than the neighbours on a
 * list; what fires goes down the levels of the wheel and through the heap, which is
 * small.
 *
 *	level 0: 64 slots of 1 tick, level 1: 64 slots of 64 ticks, ... level 7
 *
 * Equal deadlines leave in the order they came: they have the same way, lists are first
 * in, first out, and the heap is stable. Room in the heap is reserved when a node is
 * made, so that inserting cannot fail. A node's memory may be freed as soon as it is
 * removed.
 */
#ifndef AN_LOOP_BASE_WHEEL_H
#define AN_LOOP_BASE_WHEEL_H

#include "loop/base/heap.h"
#include "loop/base/list.h"

#define AN__WHEEL_LEVELS 8
#define AN__WHEEL_SLOTS 64

typedef struct an__wheel_node {
	/* On its slot's list, or free for the owner; next is NULL: on none. */
	an__list link;
	an__heap_node near; /* has the deadline in any case */
} an__wheel_node;

typedef struct an__wheel {
	an__heap near;
	int64_t horizon;    /* the last tick whose deadlines are all in the heap */
	uint32_t levels;    /* a bit for each level that has any */
	uint64_t occupied[AN__WHEEL_LEVELS]; /* a bit for each slot that has any */
	an__list slots[AN__WHEEL_LEVELS * AN__WHEEL_SLOTS];
} an__wheel;

/* A zeroed wheel is empty, and a zeroed node is on none. All nodes must have been
 * removed. */
void an__wheel_done(an__wheel *w);

/* Makes sure that one node more than before has room. Returns 0; -ENOMEM. */
int an__wheel_reserve(an__wheel *w);
void an__wheel_unreserve(an__wheel *w);

/* Inserts the node, or moves it, behind all of the same deadline. */
void an__wheel_set(an__wheel *w, an__wheel_node *n, an_duration deadline);

/* No effect on a node that is not there; but it leaves the list on which its owner has
 * put it by its link, if any, as it also does when it is set. */
void an__wheel_remove(an__wheel *w, an__wheel_node *n);

/* The first to leave when its deadline has come by `now`, else NULL. Time does not run
 * backwards. */
an__wheel_node *an__wheel_due(an__wheel *w, an_duration now);

/* The first to leave, or NULL: for a clock that then goes there. */
an__wheel_node *an__wheel_first(an__wheel *w);

/* When to look again: at the first deadline, or somewhat before it where to know it
 * exactly would cost too much; AN_FOREVER when there is none. */
an_duration an__wheel_next(an__wheel *w);

/* How many are there. Walks along the lists: for figures, not for decisions. */
size_t an__wheel_count(const an__wheel *w);

static inline bool an__wheel_has(const an__wheel_node *n)
{
	return n->link.next || n->near.place;
}

static inline an_duration an__wheel_deadline(const an__wheel_node *n)
{
	return n->near.deadline;
}

static inline bool an__wheel_empty(const an__wheel *w)
{
	return !w->levels && !w->near.used;
}

#endif
