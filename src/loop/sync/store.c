/* Where the items of a queue lie. L2; see store.h.
 *
 * The heap is binary and in an array: an entry is before() both of its children, which
 * are at 2i + 1 and 2i + 2.
 */
#include "config.h"

#include "loop/base/alloc.h"
#include "loop/sync/store.h"

#include <string.h>

/* Small at first: most queues that are bounded are short. */
#define FIRST_ROOM 8

int an__ring_grow(struct an__store *s)
{
	size_t room = s->room ? s->room * 2 : FIRST_ROOM;
	void **ring = an__reallocarray(NULL, room, sizeof *ring);

	if (!ring)
		return -ENOMEM;
	for (size_t i = 0; i < s->count; i++)
		ring[i] = s->ring[(s->head + i) & (s->room - 1)];
	free(s->ring);
	s->ring = ring;
	s->room = room;
	s->head = 0;
	return 0;
}

/* ---- the heap ---------------------------------------------------------------------- */

typedef struct an__store_entry entry;

static bool before(const entry *a, const entry *b,
		   int (*compare)(const void *a, const void *b))
{
	int c = compare(a->item, b->item);

	return c < 0 || (c == 0 && a->serial < b->serial);
}

static int grow_heap(struct an__store *s)
{
	size_t room = s->room ? s->room * 2 : FIRST_ROOM;
	entry *heap = an__reallocarray(s->heap, room, sizeof *heap);

	if (!heap)
		return -ENOMEM;
	s->heap = heap;
	s->room = room;
	return 0;
}

int an__least_push(struct an__store *s, void *item, uint64_t serial,
		   int (*compare)(const void *a, const void *b))
{
	entry new = { item, serial };
	size_t at;

	if (s->count == s->room && grow_heap(s) < 0)
		return -ENOMEM;
	for (at = s->count++; at; at = (at - 1) / 2) {
		entry *parent = &s->heap[(at - 1) / 2];

		if (!before(&new, parent, compare))
			break;
		s->heap[at] = *parent;
	}
	s->heap[at] = new;
	return 0;
}

void *an__least_pop(struct an__store *s, int (*compare)(const void *a, const void *b))
{
	void *least = s->heap[0].item;
	entry last = s->heap[--s->count];
	size_t at = 0, child;

	while ((child = 2 * at + 1) < s->count) {
		if (child + 1 < s->count &&
		    before(&s->heap[child + 1], &s->heap[child], compare))
			child++;
		if (!before(&s->heap[child], &last, compare))
			break;
		s->heap[at] = s->heap[child];
		at = child;
	}
	s->heap[at] = last;
	return least;
}
