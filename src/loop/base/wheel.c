/* The wheel of wheel.h. L0.
 *
 * A tick that is after the horizon is on the level of the highest digit, to base 64, in
 * which the two differ, and in the slot of its own digit there. Slots of a lower level
 * are therefore before all of a higher one, and occupied slots of a level before each
 * other by their number. When the horizon comes to a slot, its nodes go to lower levels,
 * and those of its first tick to the heap.
 *
 * Invariants: what is on the wheel is after the horizon; the heap has all that is not,
 * and may have some of what is: a slot that was poured. A list of equal deadlines is
 * never overtaken, for a slot is poured or taken down whole. A slot has a list, its bit
 * and its level's where an insertion has made them, otherwise its head is zero. A list
 * may be empty: who looks for the first node clears the slots before it.
 */
#include "config.h"

#include "loop/base/wheel.h"

#define TICK_BITS AN__WHEEL_TICK_BITS
#define DIGIT_BITS AN__WHEEL_DIGIT_BITS

/* A first slot of at most so many is poured, so that the first deadline is known. */
#define FEW 8

static int64_t tick_of(an_duration deadline)
{
	return deadline >> TICK_BITS;
}

void an__wheel_done(an__wheel *w)
{
	an__heap_done(&w->near);
	w->levels = 0;
}

int an__wheel_reserve(an__wheel *w)
{
	return an__heap_reserve(&w->near);
}

void an__wheel_unreserve(an__wheel *w)
{
	an__heap_unreserve(&w->near);
}

/* ---- slots ------------------------------------------------------------------------- */

static void clear_slot(an__wheel *w, unsigned level, unsigned slot)
{
	w->slots[level * AN__WHEEL_SLOTS + slot] = (an__list){ 0 };
	w->occupied[level] &= ~(UINT64_C(1) << slot);
	if (!w->occupied[level])
		w->levels &= ~(1u << level);
}

static an__list *open_list(an__wheel *w, int64_t tick)
{
	size_t i = an__wheel_slot(w, tick);
	size_t level = i / AN__WHEEL_SLOTS, slot = i % AN__WHEEL_SLOTS;
	an__list *head = &w->slots[i];

	if (!head->prev) {
		an__list_init(head);
		w->occupied[level] |= UINT64_C(1) << slot;
		w->levels |= 1u << level;
	}
	return head;
}

static unsigned first_level(const an__wheel *w)
{
	return (unsigned)__builtin_ctz(w->levels);
}

static unsigned first_slot(const an__wheel *w)
{
	return (unsigned)__builtin_ctzll(w->occupied[first_level(w)]);
}

/* The first tick of the first slot that is occupied. */
static int64_t first_tick(const an__wheel *w)
{
	unsigned shift = first_level(w) * DIGIT_BITS;
	int64_t above = w->horizon >> (shift + DIGIT_BITS);

	return (above << DIGIT_BITS | first_slot(w)) << shift;
}

static const an__list *first_list(const an__wheel *w)
{
	return &w->slots[first_level(w) * AN__WHEEL_SLOTS + first_slot(w)];
}

/* Whether a slot has any; the first one then does. */
static bool find_slot(an__wheel *w)
{
	while (w->levels && an__list_empty(first_list(w)))
		clear_slot(w, first_level(w), first_slot(w));
	return w->levels;
}

static void put(an__wheel *w, an__wheel_node *n, an_duration deadline)
{
	int64_t tick = tick_of(deadline);

	if (tick <= w->horizon) {
		an__heap_set(&w->near, &n->near, deadline);
	} else {
		n->near.deadline = deadline;
		an__list_push(open_list(w, tick), &n->link);
	}
}

/* The nodes of the first slot, in their order, to the heap or to where they belong. */
static void empty_first_slot(an__wheel *w, bool to_heap)
{
	const an__list *head = first_list(w);
	an__list *link = head->next, *next;

	clear_slot(w, first_level(w), first_slot(w));
	for (; link != head; link = next) {
		an__wheel_node *n = an__container(link, an__wheel_node, link);

		next = link->next;
		link->next = NULL;
		if (to_heap)
			an__heap_set(&w->near, &n->near, n->near.deadline);
		else
			put(w, n, n->near.deadline);
	}
}

static void take_down_first_slot(an__wheel *w)
{
	w->horizon = first_tick(w);
	empty_first_slot(w, false);
}

static bool first_slot_has_few(const an__wheel *w)
{
	const an__list *head = first_list(w);
	const an__list *link = head->next;

	for (int few = 0; few < FEW && link != head; few++)
		link = link->next;
	return link == head;
}

/* ---- nodes ------------------------------------------------------------------------- */

void an__wheel_add_slowly(an__wheel *w, an__wheel_node *n, an_duration deadline)
{
	w->count++;
	n->link.next = NULL;
	put(w, n, deadline);
}

void an__wheel_remove_near(an__wheel *w, an__wheel_node *n)
{
	w->count -= n->near.place != 0;
	an__heap_remove(&w->near, &n->near);
}

void an__wheel_set(an__wheel *w, an__wheel_node *n, an_duration deadline)
{
	if (n->near.place && tick_of(deadline) <= w->horizon) {
		an__heap_set(&w->near, &n->near, deadline);
	} else {
		an__wheel_remove(w, n);
		an__wheel_add(w, n, deadline);
	}
}

static an__wheel_node *first_near(an__wheel *w)
{
	an__heap_node *n = an__heap_first(&w->near);

	return n ? an__container(n, an__wheel_node, near) : NULL;
}

an__wheel_node *an__wheel_due(an__wheel *w, an_duration now)
{
	int64_t tick = tick_of(now);
	an__wheel_node *n;

	while (w->levels && first_tick(w) <= tick)
		take_down_first_slot(w);
	if (tick > w->horizon)
		w->horizon = tick;
	n = first_near(w);
	return n && n->near.deadline <= now ? n : NULL;
}

/* Whether the heap's first, if any, is before all on the wheel. */
static bool near_is_first(an__wheel *w, const an__wheel_node *n)
{
	return !find_slot(w) || (n && tick_of(n->near.deadline) < first_tick(w));
}

an__wheel_node *an__wheel_first(an__wheel *w)
{
	an__wheel_node *n;

	while (!near_is_first(w, n = first_near(w)))
		take_down_first_slot(w);
	return n;
}

an_duration an__wheel_next(an__wheel *w)
{
	an__wheel_node *n;

	while (!near_is_first(w, n = first_near(w))) {
		if (first_level(w) > 0 && !first_slot_has_few(w))
			return first_tick(w) << TICK_BITS;
		empty_first_slot(w, true);
	}
	return n ? n->near.deadline : AN_FOREVER;
}
