/* The stable 4-ary heap of heap.h. L0.
 *
 * Invariant: no entry is before its parent (by deadline, then by sequence number), and
 * entries[i].node->place == i + 1.
 */
#include "config.h"

#include "loop/base/alloc.h"
#include "loop/base/heap.h"

#include <errno.h>
#include <stdlib.h>

#define ARITY 4

static inline bool before(const struct an__heap_entry *a, const struct an__heap_entry *b)
{
	return a->deadline < b->deadline ||
	       (a->deadline == b->deadline && a->seq < b->seq);
}

static inline void place(an__heap *h, size_t i, const struct an__heap_entry *e)
{
	h->entries[i] = *e;
	e->node->place = i + 1;
}

static void sift_up(an__heap *h, size_t i, struct an__heap_entry e)
{
	while (i) {
		size_t parent = (i - 1) / ARITY;

		if (!before(&e, &h->entries[parent]))
			break;
		place(h, i, &h->entries[parent]);
		i = parent;
	}
	place(h, i, &e);
}

static void sift_down(an__heap *h, size_t i, struct an__heap_entry e)
{
	for (;;) {
		size_t child = i * ARITY + 1, best = child;
		size_t end = child + ARITY < h->used ? child + ARITY : h->used;

		if (child >= h->used)
			break;
		for (child++; child < end; child++)
			if (before(&h->entries[child], &h->entries[best]))
				best = child;
		if (!before(&h->entries[best], &e))
			break;
		place(h, i, &h->entries[best]);
		i = best;
	}
	place(h, i, &e);
}

static void settle(an__heap *h, size_t i, struct an__heap_entry e)
{
	if (i && before(&e, &h->entries[(i - 1) / ARITY]))
		sift_up(h, i, e);
	else
		sift_down(h, i, e);
}

void an__heap_done(an__heap *h)
{
	free(h->entries);
	*h = (an__heap){ 0 };
}

int an__heap_reserve(an__heap *h)
{
	struct an__heap_entry *entries;
	size_t room;

	if (h->reserved == h->room) {
		room = h->room ? h->room * 2 : 64;
		entries = an__reallocarray(h->entries, room, sizeof *entries);
		if (!entries)
			return -ENOMEM;
		h->entries = entries;
		h->room = room;
	}
	h->reserved++;
	return 0;
}

void an__heap_unreserve(an__heap *h)
{
	h->reserved--;
}

void an__heap_set(an__heap *h, an__heap_node *n, an_duration deadline)
{
	struct an__heap_entry e = { .deadline = deadline,
				    .seq = h->next_seq++,
				    .node = n };

	n->deadline = deadline;
	if (n->place)
		settle(h, n->place - 1, e);
	else
		sift_up(h, h->used++, e);
}

void an__heap_remove(an__heap *h, an__heap_node *n)
{
	size_t i = n->place - 1;

	if (!n->place)
		return;
	n->place = 0;
	if (i != --h->used)
		settle(h, i, h->entries[h->used]);
}
