/* The stack pool. L1.
 *
 * Layout. A class has stacks of one size; its slots are cut from slabs:
 *
 *	slab  | guard | usable ......... stagger | guard | usable ......... stagger | ...
 *	              ^ low                     ^ top
 *
 * A slot's life, moved by move() alone:
 *
 *	fresh --acquire--> used --release--> warm --acquire--> used
 *	                                     warm --trim-----> cold --acquire--> used
 *
 * A fresh slot has no guard yet: guards are installed when a slot is used for the first
 * time, so that a new slab costs little. Warm slots are taken last in, first out; the
 * oldest are trimmed.
 *
 * Trimming. On a release when there is too much that is warm, and by rounds when it has
 * been warm for long: between two rounds least_warm follows how many slots were warm all
 * the time, and the round gives half of them back.
 *
 * Invariants: slab->used counts its used slots; a class's warm and cold lists hold
 * exactly its slots in these states; a slab with no used slot and half of them cold is
 * unmapped; while warm slots exist, and somebody is there to ask, rounds are under way.
 */
#include "loop/core/stack.h"
#include "loop/base/alloc.h"
#include "loop/core/guard.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef AN__STACK_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef AN__STACK_TSAN
#include <sanitizer/tsan_interface.h>
#endif
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/memcheck.h>
#include <valgrind/valgrind.h>
#define HAVE_VALGRIND 1
#endif

#define STACK_MIN ((size_t)16 << 10)
#define STACK_MAX ((size_t)1 << 30)
#define CLASS_COUNT 18 /* the default, then 16 KiB (2^14) to 1 GiB (2^30) */
#define CLASS_SHIFT 14

/* A frame larger than the guard can step over it into the next stack: four pages catch
 * arrays of up to 16 KiB, at the price of address space alone. */
#define GUARD_PAGES 4

/* A slab is one mmap: large enough to make that rare, small enough to be given back. */
#define SLAB_SLOTS 256
#define SLAB_BYTES ((size_t)32 << 20)

/* Address space of the free stacks that keep their memory. What they have really
 * touched is mostly one page or two each, some 8 to 16 MiB in all. Trimming begins
 * above the high mark and goes on to the low one, a few slots with each release, so
 * that no release takes long. */
#define WARM_HIGH ((size_t)128 << 20)
#define WARM_LOW ((size_t)64 << 20)
#define TRIM_STEP 4

/* Slots that one call of an__stack_pool_trim() gives back, at 2 us each. */
#define ROUND_STEP 128

/* Task tops 64 bytes apart fall into different cache sets; 16 of them cost 1 KiB at
 * most. */
#define STAGGER(n) (((n)&15) * 64)

enum slot_state {
	SLOT_FRESH,
	SLOT_USED,
	SLOT_WARM,
	SLOT_COLD,
};

typedef struct stack_class {
	size_t usable, stride; /* bytes of a stack; the same with its guard */
	unsigned slab_slots;
	an__list warm, cold; /* the front is the slot released last */
	size_t warm_count, cold_count, used_count;
	size_t serial;		      /* slots ever made: staggers the tops */
	struct an__stack_slab *fresh; /* the slab with slots never used, or NULL */
	an__list slabs;
	bool trimming;	   /* on the way from the high mark to the low one */
	size_t least_warm; /* since the last round */
	size_t due;	   /* of this round, still to be given back */
} stack_class;

struct an__stack_slab {
	an__list node;
	stack_class *class;
	char *base;
	size_t bytes;
	unsigned count, opened, used, cold; /* slots: all, once used, used now, cold */
	an__stack slots[];
};

struct an__stack_pool {
	size_t page, guard;
	bool mprotect_guards;
	bool watched;  /* by a tool that sees stacks come and go */
	bool rounds;   /* an__stack_pool_trim() will be called */
	bool in_round; /* it has returned MORE */
	void (*ask)(void *arg);
	void *ask_arg;
	stack_class classes[CLASS_COUNT];
};

/* ---- guards ---------------------------------------------------------------------- */

bool an__stack_is_guard(const an__stack *stack, const void *address)
{
	const stack_class *c = stack->slab->class;
	const char *a = address;

	return a < stack->low && a >= stack->low - (c->stride - c->usable);
}

/* ---- whose an address is ----------------------------------------------------------- */

static const an__stack *stack_in_slab(const struct an__stack_slab *slab, const char *at)
{
	size_t n = (size_t)(at - slab->base) / slab->class->stride;
	const an__stack *s = &slab->slots[n];

	return s->state == SLOT_USED && at >= s->low && at < s->top ? s : NULL;
}

const an__stack *an__stack_at(const an__stack_pool *pool, const void *address)
{
	const char *at = address;

	for (unsigned i = 0; i < CLASS_COUNT; i++) {
		const an__list *slabs = &pool->classes[i].slabs;

		for (const an__list *n = slabs->next; n != slabs; n = n->next) {
			const struct an__stack_slab *slab =
				an__container(n, const struct an__stack_slab, node);

			if (at >= slab->base && at < slab->base + slab->bytes)
				return stack_in_slab(slab, at);
		}
	}
	return NULL;
}

/* ---- what tools must be told ----------------------------------------------------- */

#ifdef AN__STACK_TSAN
/* The fibre of a stack is kept in its lowest bytes, where the switch hooks find it by
 * `low`. */
#define RESERVED_LOW 64
#define FIBRE(low) (((void **)(void *)(low))[-1])
#else
#define RESERVED_LOW 0
#endif

/* Whether the hooks below have to see every change of owner. */
bool an__stack_tools_watch(void)
{
#if defined(AN__STACK_ASAN) || defined(AN__STACK_TSAN)
	return true;
#elif defined(HAVE_VALGRIND)
	return RUNNING_ON_VALGRIND;
#else
	return false;
#endif
}

/* The registration holds for as long as the slab is mapped. */
static void tools_opened(an__stack *s)
{
#ifdef HAVE_VALGRIND
	s->valgrind_id = VALGRIND_STACK_REGISTER(s->low, s->top);
#else
	s->valgrind_id = 0;
#endif
}

static void tools_acquired(an__stack *s)
{
#ifdef AN__STACK_TSAN
	FIBRE(s->low) = __tsan_create_fiber(0);
#endif
#ifdef HAVE_VALGRIND
	/* What the former owner popped counts as inaccessible. */
	VALGRIND_MAKE_MEM_UNDEFINED(s->low, s->top - s->low);
#endif
	(void)s;
}

static void tools_released(an__stack *s)
{
#ifdef AN__STACK_ASAN
	/* Frames that never returned have left their red zones in the shadow. */
	ASAN_UNPOISON_MEMORY_REGION(s->low, (size_t)(s->top - s->low));
#endif
#ifdef AN__STACK_TSAN
	if (FIBRE(s->low))
		__tsan_destroy_fiber(FIBRE(s->low));
	FIBRE(s->low) = NULL;
#endif
	(void)s;
}

static void tools_unmapped(an__stack *s)
{
#ifdef HAVE_VALGRIND
	VALGRIND_STACK_DEREGISTER(s->valgrind_id);
#endif
	(void)s;
}

/* ---- slots ----------------------------------------------------------------------- */

/* Inlined, so that each caller has the one transition that it makes. */
static inline __attribute__((always_inline)) void move(an__stack *s, enum slot_state from,
						       enum slot_state to)
{
	struct an__stack_slab *slab = s->slab;
	stack_class *c = slab->class;

	switch (from) {
	case SLOT_FRESH:
		slab->opened++;
		break;
	case SLOT_USED:
		slab->used--;
		c->used_count--;
		break;
	case SLOT_WARM:
		c->warm_count--;
		an__list_remove(&s->node);
		break;
	case SLOT_COLD:
		slab->cold--;
		c->cold_count--;
		an__list_remove(&s->node);
		break;
	}
	s->state = (unsigned char)to;
	switch (to) {
	case SLOT_FRESH: /* never again */
		break;
	case SLOT_USED:
		slab->used++;
		c->used_count++;
		break;
	case SLOT_WARM:
		c->warm_count++;
		an__list_push_front(&c->warm, &s->node);
		break;
	case SLOT_COLD:
		slab->cold++;
		c->cold_count++;
		an__list_push_front(&c->cold, &s->node);
		break;
	}
}

/* Readies the next fresh slot of the class's newest slab. */
static int open_slot(an__stack_pool *pool, stack_class *c, an__stack **ret)
{
	struct an__stack_slab *slab = c->fresh;
	unsigned n = slab->opened;
	char *start = slab->base + n * c->stride;
	an__stack *s = &slab->slots[n];
	int r = an__guard_install(pool->mprotect_guards, start, pool->guard);

	if (r < 0)
		return r;
	s->slab = slab;
	an__list_init(&s->node);
	s->low = start + pool->guard + RESERVED_LOW;
	s->top = start + c->stride - STAGGER(c->serial++);
	tools_opened(s);
	*ret = s;
	return 0;
}

/* ---- slabs ----------------------------------------------------------------------- */

static int map_slab(stack_class *c)
{
	size_t bytes = c->slab_slots * c->stride;
	struct an__stack_slab *slab;
	char *base;

	slab = an__calloc(1, sizeof(*slab) + c->slab_slots * sizeof(slab->slots[0]));
	if (!slab)
		return -ENOMEM;
	base = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED) {
		free(slab);
		return -ENOMEM;
	}
	/* A huge page would make each idle task cost 2 MiB. Kernels without them say
	 * EINVAL. */
	(void)madvise(base, bytes, MADV_NOHUGEPAGE);
	slab->class = c;
	slab->base = base;
	slab->bytes = bytes;
	slab->count = c->slab_slots;
	an__list_push(&c->slabs, &slab->node);
	c->fresh = slab;
	return 0;
}

static void unmap_slab(const an__stack_pool *pool, struct an__stack_slab *slab)
{
	stack_class *c = slab->class;

	for (unsigned i = 0; i < slab->opened; i++) {
		an__stack *s = &slab->slots[i];

		tools_unmapped(s);
		an__list_remove(&s->node);
		if (s->state == SLOT_WARM)
			c->warm_count--;
		else if (s->state == SLOT_COLD)
			c->cold_count--;
	}
	if (c->fresh == slab)
		c->fresh = NULL;
	an__list_remove(&slab->node);
	/* To cut a hole may need a map more than there are: then the memory goes, and the
	 * address space is lost. */
	if (munmap(slab->base, slab->bytes) == 0)
		an__guard_unmapped(pool->mprotect_guards, slab->opened);
	else
		(void)madvise(slab->base, slab->bytes, MADV_DONTNEED);
	free(slab);
}

static void discard(an__stack *s)
{
	char *start = s->low - RESERVED_LOW;
	char *end =
		s->slab->base + (size_t)(s - s->slab->slots + 1) * s->slab->class->stride;

	(void)madvise(start, (size_t)(end - start), MADV_DONTNEED);
}

/* Whether nothing there is used, and too little of it is warm to be worth keeping. */
static bool expendable(const struct an__stack_slab *slab)
{
	return !slab->used && slab->cold >= slab->opened / 2;
}

/* Gives the memory of the oldest warm slot back, and that of its whole slab when nothing
 * there is used and it has no more than `most` warm slots. Returns how many slots that
 * were. */
static size_t give_back(const an__stack_pool *pool, stack_class *c, size_t most)
{
	an__stack *s = an__container(c->warm.prev, an__stack, node);
	struct an__stack_slab *slab = s->slab;
	size_t before = c->warm_count;

	if (slab->used || slab->opened - slab->cold > most) {
		discard(s);
		move(s, SLOT_WARM, SLOT_COLD);
		if (expendable(slab))
			unmap_slab(pool, slab);
	} else {
		unmap_slab(pool, slab);
	}
	return before - c->warm_count;
}

static void trim_to_low_mark(const an__stack_pool *pool, stack_class *c)
{
	if (c->warm_count * c->stride > WARM_HIGH)
		c->trimming = true;
	for (size_t n = 0; c->trimming && n < TRIM_STEP;) {
		if (!c->warm_count || c->warm_count * c->stride <= WARM_LOW)
			c->trimming = false;
		else
			n += give_back(pool, c, SIZE_MAX);
	}
}

/* ---- what is idle for long ------------------------------------------------------- */

static size_t end_round(an__stack_pool *pool)
{
	size_t warm = 0;

	for (unsigned i = 0; i < CLASS_COUNT; i++) {
		stack_class *c = &pool->classes[i];

		c->least_warm = c->warm_count;
		warm += c->warm_count;
	}
	pool->in_round = false;
	return warm;
}

/* Whole slabs may have gone since least_warm was taken. */
static void begin_round(an__stack_pool *pool)
{
	for (unsigned i = 0; i < CLASS_COUNT; i++) {
		stack_class *c = &pool->classes[i];
		size_t idle =
			c->least_warm < c->warm_count ? c->least_warm : c->warm_count;

		c->due = (idle + 1) / 2;
	}
	pool->in_round = true;
}

enum an__stack_trim an__stack_pool_trim(an__stack_pool *pool)
{
	size_t given = 0;

	if (!pool->in_round)
		begin_round(pool);
	for (unsigned i = 0; i < CLASS_COUNT; i++) {
		stack_class *c = &pool->classes[i];

		while (c->due && c->warm_count && given < ROUND_STEP) {
			size_t n = give_back(pool, c, c->due);

			given += n;
			c->due -= n < c->due ? n : c->due;
		}
		if (c->due && c->warm_count)
			return AN__STACK_TRIM_MORE;
	}
	pool->rounds = end_round(pool) > 0;
	return pool->rounds ? AN__STACK_TRIM_LATER : AN__STACK_TRIM_DONE;
}

void an__stack_pool_on_idle(an__stack_pool *pool, void (*ask)(void *arg), void *arg)
{
	pool->ask = ask;
	pool->ask_arg = arg;
}

static void ask_for_rounds(an__stack_pool *pool)
{
	pool->rounds = true;
	end_round(pool);
	pool->ask(pool->ask_arg);
}

/* ---- the pool -------------------------------------------------------------------- */

static void class_init(an__stack_pool *pool, stack_class *c, size_t usable)
{
	size_t slots;

	c->usable = (usable + pool->page - 1) & ~(pool->page - 1);
	c->stride = c->usable + pool->guard;
	slots = SLAB_BYTES / c->stride;
	c->slab_slots = slots < 1 ? 1 : slots > SLAB_SLOTS ? SLAB_SLOTS : (unsigned)slots;
	an__list_init(&c->warm);
	an__list_init(&c->cold);
	an__list_init(&c->slabs);
}

int an__stack_pool_new(size_t default_size, an__stack_pool **ret)
{
	an__stack_pool *pool;

	if (default_size > STACK_MAX)
		return -EINVAL;
	pool = an__calloc(1, sizeof(*pool));
	if (!pool)
		return -ENOMEM;
	pool->page = (size_t)sysconf(_SC_PAGESIZE);
	pool->guard = GUARD_PAGES * pool->page;
	pool->mprotect_guards = an__guard_by_mprotect();
	pool->watched = an__stack_tools_watch();
	class_init(pool, &pool->classes[0],
		   default_size < STACK_MIN ? STACK_MIN : default_size);
	for (unsigned i = 1; i < CLASS_COUNT; i++)
		class_init(pool, &pool->classes[i], (size_t)1 << (CLASS_SHIFT + i - 1));
	*ret = pool;
	return 0;
}

an__stack_pool *an__stack_pool_free(an__stack_pool *pool)
{
	if (!pool)
		return NULL;
	for (unsigned i = 0; i < CLASS_COUNT; i++) {
		an__list *slabs = &pool->classes[i].slabs;

		while (!an__list_empty(slabs))
			unmap_slab(pool, an__container(slabs->next, struct an__stack_slab,
						       node));
	}
	free(pool);
	return NULL;
}

static stack_class *class_for(an__stack_pool *pool, size_t size)
{
	stack_class *c = &pool->classes[1];

	while (c->usable < size)
		c++;
	/* The default's stacks serve where they are no larger than the power of two
	 * would be. */
	if (pool->classes[0].usable >= size && pool->classes[0].usable <= c->usable)
		return &pool->classes[0];
	return c;
}

static int take_fresh(an__stack_pool *pool, stack_class *c, an__stack **ret)
{
	int r = c->fresh ? 0 : map_slab(c);

	if (r == 0)
		r = open_slot(pool, c, ret);
	if (r == 0 && c->fresh->opened + 1 == c->fresh->count)
		c->fresh = NULL;
	return r;
}

int an__stack_acquire(an__stack_pool *pool, size_t size, an__stack **ret)
{
	stack_class *c = &pool->classes[0];
	an__stack *s;
	int r;

	if (size > STACK_MAX)
		return -EINVAL;
	if (size)
		c = class_for(pool, size);
	if (c->warm_count) {
		s = an__container(c->warm.next, an__stack, node);
		move(s, SLOT_WARM, SLOT_USED);
		if (c->warm_count < c->least_warm)
			c->least_warm = c->warm_count;
	} else if (c->cold_count) {
		s = an__container(c->cold.next, an__stack, node);
		move(s, SLOT_COLD, SLOT_USED);
	} else {
		r = take_fresh(pool, c, &s);
		if (r < 0)
			return r;
		move(s, SLOT_FRESH, SLOT_USED);
	}
	if (pool->watched)
		tools_acquired(s);
	*ret = s;
	return 0;
}

an__stack *an__stack_release(an__stack_pool *pool, an__stack *stack)
{
	struct an__stack_slab *slab;

	if (!stack)
		return NULL;
	slab = stack->slab;
	if (pool->watched)
		tools_released(stack);
	move(stack, SLOT_USED, SLOT_WARM);
	if (slab->cold && expendable(slab))
		unmap_slab(pool, slab);
	else
		trim_to_low_mark(pool, slab->class);
	if (!pool->rounds && pool->ask)
		ask_for_rounds(pool);
	return NULL;
}

an__stack_stats an__stack_pool_stats(const an__stack_pool *pool)
{
	an__stack_stats st = { 0 };

	for (unsigned i = 0; i < CLASS_COUNT; i++) {
		const stack_class *c = &pool->classes[i];

		st.in_use += c->used_count;
		st.warm += c->warm_count;
		st.cold += c->cold_count;
		for (an__list *n = c->slabs.next; n != &c->slabs; n = n->next)
			st.slabs++;
	}
	return st;
}

/* ---- sanitizer fibres ------------------------------------------------------------ */

#if defined(AN__STACK_ASAN)

void an__stack_switch_begin(void **fake, const void *low, size_t size)
{
	__sanitizer_start_switch_fiber(fake, low, size);
}

void an__stack_switch_end(void *fake, const void **ret_old_low, size_t *ret_old_size)
{
	const void *low;
	size_t size;

	__sanitizer_finish_switch_fiber(fake, &low, &size);
	if (ret_old_low)
		*ret_old_low = low;
	if (ret_old_size)
		*ret_old_size = size;
}

#elif defined(AN__STACK_TSAN)

/* TSan knows fibres by handle. A thread's own stack is given `low` NULL here, which is
 * what switch_end told the first task about it. */
static _Thread_local void *thread_fibre;
static _Thread_local const void *running_low, *left_low;

/* Not instrumented: the entry of the function would be noted on one fibre, its exit on
 * another. */
__attribute__((no_sanitize("thread"))) void an__stack_switch_begin(void **fake,
								   const void *low,
								   size_t size)
{
	(void)size;
	if (fake)
		*fake = NULL;
	if (!running_low)
		thread_fibre = __tsan_get_current_fiber();
	left_low = running_low;
	running_low = low;
	__tsan_switch_to_fiber(low ? FIBRE(low) : thread_fibre, 0);
}

__attribute__((no_sanitize("thread"))) void an__stack_switch_end(void *fake,
								 const void **ret_old_low,
								 size_t *ret_old_size)
{
	(void)fake;
	if (ret_old_low)
		*ret_old_low = left_low;
	if (ret_old_size)
		*ret_old_size = 0;
}

#endif
