/* An intrusive, circular, doubly linked list. L0: no loop, no I/O.
 *
 * The head is a node, too; a node that is on no list points to itself or is zero.
 * Removing needs no head, which is what lets a cancellation take a waiter off whatever it
 * waits on.
 */
#ifndef AN_LOOP_BASE_LIST_H
#define AN_LOOP_BASE_LIST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct an__list {
	struct an__list *next, *prev;
} an__list;

#define an__container(pointer, type, member) \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))

static inline void an__list_init(an__list *l)
{
	l->next = l->prev = l;
}

static inline bool an__list_empty(const an__list *l)
{
	return l->next == l;
}

/* Before `at`: at the tail when `at` is the head. A signal handler that follows `next`
 * finds a whole list at any moment, and nodes that are ready to be looked at: the fence,
 * which costs nothing, is for the compiler alone. */
static inline void an__list_insert(an__list *at, an__list *n)
{
	n->prev = at->prev;
	n->next = at;
	atomic_signal_fence(memory_order_release);
	at->prev->next = n;
	at->prev = n;
}

static inline void an__list_push(an__list *head, an__list *n)
{
	an__list_insert(head, n);
}

static inline void an__list_push_front(an__list *head, an__list *n)
{
	an__list_insert(head->next, n);
}

static inline void an__list_remove(an__list *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	n->next = n->prev = n;
}

static inline an__list *an__list_pop(an__list *head)
{
	an__list *n = head->next;

	if (n == head)
		return NULL;
	an__list_remove(n);
	return n;
}

/* Moves all of `from` to the tail of `to`. */
static inline void an__list_splice(an__list *to, an__list *from)
{
	if (an__list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	an__list_init(from);
}

#endif
