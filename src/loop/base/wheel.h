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
 *
 * To add and to remove are inline as far as they concern the wheel: a program that moves
 * very many waits for its cache, and what is short lets the processor go on to the next
 * move meanwhile.
 */
#ifndef AN_LOOP_BASE_WHEEL_H
#define AN_LOOP_BASE_WHEEL_H

#include "loop/base/heap.h"
#include "loop/base/list.h"

#define AN__WHEEL_LEVELS 8
#define AN__WHEEL_SLOTS 64

#define AN__WHEEL_DIGIT_BITS 6
#define AN__WHEEL_TICK_BITS 20

typedef struct an__wheel_node {
	/* On its slot's list, or on one of its owner's; next is NULL: on none. */
	an__list link;
	an__heap_node near; /* has the deadline in any case */
} an__wheel_node;

typedef struct an__wheel {
	int64_t horizon; /* the last tick whose deadlines are all in the heap */
	size_t count;    /* on the wheel, in the heap, or held */
	uint64_t occupied[AN__WHEEL_LEVELS]; /* a bit for each slot that has a list */
	uint32_t levels; /* a bit for each level with such a slot */
	an__heap near;
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

/* The first to leave when its deadline has come by `now`, else NULL. Time does not run
 * backwards. */
an__wheel_node *an__wheel_due(an__wheel *w, an_duration now);

/* The first to leave, or NULL: for a clock that then goes there. */
an__wheel_node *an__wheel_first(an__wheel *w);

/* When to look again: at the first deadline, or somewhat before it where to know it
 * exactly would cost too much; AN_FOREVER when there is none. */
an_duration an__wheel_next(an__wheel *w);

/* How many are there, those that are held included. */
static inline size_t an__wheel_count(const an__wheel *w)
{
	return w->count;
}

static inline bool an__wheel_has(const an__wheel_node *n)
{
	return n->link.next || n->near.place;
}

static inline an_duration an__wheel_deadline(const an__wheel_node *n)
{
	return n->near.deadline;
}

/* ---- in the middle of very many ---------------------------------------------------- */

/* The rare halves of what follows. */
void an__wheel_add_slowly(an__wheel *w, an__wheel_node *n, an_duration deadline);
void an__wheel_remove_near(an__wheel *w, an__wheel_node *n);

/* The index of its slot; it is after the horizon. */
static inline size_t an__wheel_slot(const an__wheel *w, int64_t tick)
{
	uint64_t differs = (uint64_t)(tick ^ w->horizon);
	size_t level = (63 ^ (unsigned)__builtin_clzll(differs)) / AN__WHEEL_DIGIT_BITS;
	uint64_t digits = (uint64_t)tick >> level * AN__WHEEL_DIGIT_BITS;

	return level * AN__WHEEL_SLOTS + (digits & (AN__WHEEL_SLOTS - 1));
}

/* The list for that deadline, or NULL if it is not that simple: it may belong in the
 * heap, or be the first of its slot. */
static inline an__list *an__wheel_list(an__wheel *w, an_duration deadline)
{
	int64_t tick = deadline >> AN__WHEEL_TICK_BITS;
	an__list *head;

	if (__builtin_expect(tick <= w->horizon, 0))
		return NULL;
	head = &w->slots[an__wheel_slot(w, tick)];
	return __builtin_expect(head->prev != NULL, 1) ? head : NULL;
}

/* To the list that an__wheel_list() said for the deadline. The node is not there, its
 * place is 0, and its link may be anything. */
static inline void an__wheel_hang(an__wheel *w, an__list *list, an__wheel_node *n,
				  an_duration deadline)
{
	an__list *last = list->prev;

	w->count++;
	n->link.prev = last;
	n->near.deadline = deadline;
	n->link.next = list;
	list->prev = &n->link;
	last->next = &n->link;
}

/* an__wheel_set() for a node as an__wheel_hang() wants it. */
static inline void an__wheel_add(an__wheel *w, an__wheel_node *n, an_duration deadline)
{
	an__list *list = an__wheel_list(w, deadline);

	if (list)
		an__wheel_hang(w, list, n, deadline);
	else
		an__wheel_add_slowly(w, n, deadline);
}

/* Puts a node that is not there on a list of its owner's, from which an__wheel_remove()
 * takes it, too. It is counted, but never due. */
static inline void an__wheel_hold(an__wheel *w, an__wheel_node *n, an__list *list)
{
	w->count++;
	an__list_push(list, &n->link);
}

/* Off its list; it is on one. A slot that has lost its last stays marked until somebody
 * looks for the first. */
static inline void an__wheel_unhang(an__wheel *w, an__wheel_node *n)
{
	an__list *next = n->link.next, *prev = n->link.prev;

	/* A write that waits for the cache holds up those after it, a prefetch does
	 * not. */
	__builtin_prefetch(next, 1);
	__builtin_prefetch(prev, 1);
	w->count--;
	next->prev = prev;
	prev->next = next;
	n->link.next = NULL;
}

/* No effect on a node that is not there. */
static inline void an__wheel_remove(an__wheel *w, an__wheel_node *n)
{
	if (n->link.next)
		an__wheel_unhang(w, n);
	else
		an__wheel_remove_near(w, n);
}

#endif
