/* The ring of log records. See ring.h.
 *
 * Invariants: head <= cursor <= tail <= head + size; the producer writes tail, the
 * consumer the other two; tail is released after a whole record has been copied, head
 * after it is not needed any more.
 */
#include "log/ring.h"
#include "loop/base/alloc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int an__log_ring_init(an__log_ring *r, size_t size)
{
	size_t rounded = 64;

	while (rounded < size)
		rounded *= 2;
	memset(r, 0, sizeof *r);
	/* Pages are taken as they are first written to. */
	r->data = an__malloc(rounded);
	if (!r->data)
		return -ENOMEM;
	r->size = rounded;
	return 0;
}

void an__log_ring_done(an__log_ring *r)
{
	free(r->data);
	r->data = NULL;
	r->size = 0;
}

static void copy_in(an__log_ring *r, size_t position, const void *src, size_t n)
{
	size_t at = position & (r->size - 1);
	size_t first = r->size - at;

	if (n <= first) {
		memcpy(r->data + at, src, n);
	} else {
		memcpy(r->data + at, src, first);
		memcpy(r->data, (const char *)src + first, n - first);
	}
}

static void copy_out(const an__log_ring *r, size_t position, void *dst, size_t n)
{
	size_t at = position & (r->size - 1);
	size_t first = r->size - at;

	if (n <= first) {
		memcpy(dst, r->data + at, n);
	} else {
		memcpy(dst, r->data + at, first);
		memcpy((char *)dst + first, r->data, n - first);
	}
}

bool an__log_ring_put(an__log_ring *r, const an__log_record *record, const char *line,
		      size_t spare)
{
	size_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	size_t need = sizeof *record + record->len;

	if (need + spare > r->size - (tail - r->head_seen)) {
		r->head_seen = atomic_load_explicit(&r->head, memory_order_acquire);
		if (need + spare > r->size - (tail - r->head_seen))
			return false;
	}
	copy_in(r, tail, record, sizeof *record);
	copy_in(r, tail + sizeof *record, line, record->len);
	atomic_store_explicit(&r->tail, tail + need, memory_order_release);
	return true;
}

bool an__log_ring_peek(an__log_ring *r, an__log_record *ret)
{
	if (r->cursor == r->tail_seen) {
		r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
		if (r->cursor == r->tail_seen)
			return false;
	}
	copy_out(r, r->cursor, ret, sizeof *ret);
	return true;
}

void an__log_ring_take(an__log_ring *r, const an__log_record *record, char *dst)
{
	copy_out(r, r->cursor + sizeof *record, dst, record->len);
	r->cursor += sizeof *record + record->len;
}
