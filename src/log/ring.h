/* A bounded ring of log records, one producer and one consumer, no locks. Beside L3: base
 * only.
 *
 * Records lie in it as bytes, a header and a line, and go round its end wherever that
 * falls, so no room is wasted and no size but the ring's own limits a record. Positions
 * are counters that only grow; should one wrap around, the difference of two is right all
 * the same.
 *
 * The consumer has two positions: it reads at `cursor`, and gives room back at `head`
 * once what it read has been written. So an unwritten line is in the ring until it is on
 * disk.
 *
 *	 head            cursor             tail
 *	  | being written  | not yet looked at |  free
 */
#ifndef AN_LOG_RING_H
#define AN_LOG_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct an__log_record {
	int64_t time;	   /* ns since 1970, UTC */
	uint32_t len : 24; /* of the line that follows */
	uint32_t level : 8;
	uint32_t dropped; /* lines dropped between the last record and this one */
} an__log_record;

typedef struct an__log_ring {
	char *data;
	size_t size; /* a power of two */

	/* The producer's. */
	_Alignas(64) _Atomic size_t tail;
	size_t head_seen; /* what it last knew of head */

	/* The consumer's. */
	_Alignas(64) _Atomic size_t head;
	size_t cursor;
	size_t tail_seen;
} an__log_ring;

/* `size` is rounded up to a power of two. Returns 0; -ENOMEM. */
int an__log_ring_init(an__log_ring *r, size_t size);
void an__log_ring_done(an__log_ring *r);

/* Puts a record whose `len` bytes are at `line`, if `spare` bytes stay free behind it.
 * Producer only. */
bool an__log_ring_put(an__log_ring *r, const an__log_record *record, const char *line,
		      size_t spare);

/* Looks at the record at the cursor. Returns false when there is none. Consumer only. */
bool an__log_ring_peek(an__log_ring *r, an__log_record *ret);

/* Copies the line of the record just looked at, and moves the cursor behind it. */
void an__log_ring_take(an__log_ring *r, const an__log_record *record, char *dst);

/* Gives back what lies before the cursor. Consumer only. */
static inline void an__log_ring_release(an__log_ring *r)
{
	atomic_store_explicit(&r->head, r->cursor, memory_order_release);
}

/* Where the next record will begin. Producer only. */
static inline size_t an__log_ring_tail(an__log_ring *r)
{
	return atomic_load_explicit(&r->tail, memory_order_relaxed);
}

/* Whether all before `position` has been written. Any thread. */
static inline bool an__log_ring_passed(an__log_ring *r, size_t position)
{
	size_t head = atomic_load_explicit(&r->head, memory_order_acquire);

	return (ptrdiff_t)(head - position) >= 0;
}

/* Forgets what is in it. With no producer and no consumer about. */
static inline void an__log_ring_clear(an__log_ring *r)
{
	size_t tail = an__log_ring_tail(r);

	atomic_store_explicit(&r->head, tail, memory_order_relaxed);
	r->cursor = r->head_seen = r->tail_seen = tail;
}

/* Bytes in it: exact for producer and consumer, a glimpse for others. */
static inline size_t an__log_ring_used(an__log_ring *r)
{
	return atomic_load_explicit(&r->tail, memory_order_relaxed) -
	       atomic_load_explicit(&r->head, memory_order_relaxed);
}

#endif
