/* Memory that is freed all at once: for what lives as long as one exchange. L4, sans-I/O.
 *
 * The first kilobytes lie in the owner, so that a common request allocates nothing.
 */
#ifndef AN_HTTP_ARENA_H
#define AN_HTTP_ARENA_H

#include <stddef.h>

enum { AN__ARENA_INLINE = 2048 };

typedef struct an__arena_block {
	struct an__arena_block *next;
	max_align_t data[];
} an__arena_block;

typedef struct an__arena {
	char *at, *end;
	an__arena_block *blocks; /* on the heap, the newest first */
	max_align_t inline_data[AN__ARENA_INLINE / sizeof(max_align_t)];
} an__arena;

void an__arena_init(an__arena *a);

/* Frees all that was allocated. */
void an__arena_reset(an__arena *a);

/* NULL without memory. Aligned for any type. */
void *an__arena_alloc(an__arena *a, size_t size);

#endif
