/* Memory that is freed all at once. L4, sans-I/O. */
#include "http/arena.h"
#include "loop/base/alloc.h"

#include <stdint.h>
#include <stdlib.h>

enum { BLOCK = 4096, ALIGN = _Alignof(max_align_t) };

void an__arena_init(an__arena *a)
{
	a->blocks = NULL;
	a->at = (char *)a->inline_data;
	a->end = a->at + sizeof(a->inline_data);
}

void an__arena_reset(an__arena *a)
{
	while (a->blocks) {
		an__arena_block *b = a->blocks;

		a->blocks = b->next;
		free(b);
	}
	an__arena_init(a);
}

void *an__arena_alloc(an__arena *a, size_t size)
{
	an__arena_block *b;
	size_t capacity;
	void *p;

	if (size > SIZE_MAX - BLOCK)
		return NULL;
	size = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	if (size <= (size_t)(a->end - a->at)) {
		p = a->at;
		a->at += size;
		return p;
	}
	capacity = size > BLOCK / 2 ? size : BLOCK;
	b = an__malloc(sizeof(*b) + capacity);
	if (!b)
		return NULL;
	b->next = a->blocks;
	a->blocks = b;
	p = b->data;
	/* A large piece has a block of its own; what is left in the current one stays in
	 * use. */
	if (capacity > size) {
		a->at = (char *)p + size;
		a->end = (char *)p + capacity;
	}
	return p;
}
