/* Where the items of a queue lie: a ring, or a heap for priorities. L2: knows nothing of
 * tasks; what is bounded, and who waits, is the queue's affair.
 *
 * The room is a power of two, so that a place in the ring costs no division. It only
 * grows; a push that finds room cannot fail.
 */
#ifndef AN_LOOP_SYNC_STORE_H
#define AN_LOOP_SYNC_STORE_H

#include <asyncnet/sync.h>
#include <errno.h>

/* ---- the ring ---------------------------------------------------------------------- */

/* Twice the room. Returns 0; -ENOMEM. */
int an__ring_grow(struct an__store *s);

/* Behind the newest; there is room. */
static inline void an__ring_add(struct an__store *s, void *item)
{
	s->ring[(s->head + s->count++) & (s->room - 1)] = item;
}

/* The same where there may be none. Returns 0; -ENOMEM. */
static inline int an__ring_push(struct an__store *s, void *item)
{
	if (__builtin_expect(s->count == s->room, 0) && an__ring_grow(s) < 0)
		return -ENOMEM;
	an__ring_add(s, item);
	return 0;
}

/* The oldest. It is not empty. */
static inline void *an__ring_shift(struct an__store *s)
{
	s->count--;
	return s->ring[s->head++ & (s->room - 1)];
}

/* The newest. It is not empty. */
static inline void *an__ring_pop(struct an__store *s)
{
	s->count--;
	return s->ring[(s->head + s->count) & (s->room - 1)];
}

/* ---- the heap ---------------------------------------------------------------------- */

struct an__store_entry {
	void *item;
	uint64_t serial; /* of equal items the least leaves first */
};

/* `serial` is greater than those of all in it. Returns 0; -ENOMEM. */
int an__least_push(struct an__store *s, void *item, uint64_t serial,
		   int (*compare)(const void *a, const void *b));

/* The least. It is not empty. */
void *an__least_pop(struct an__store *s, int (*compare)(const void *a, const void *b));

#endif
