/* The prepared statements of one connection. L4, no I/O, no libpq.
 *
 * Invariants: an entry is in its bucket and on by_age, or on dropped alone; count is the
 * length of by_age and never above capacity; everything on dropped is prepared.
 */
#include "db/statements.h"
#include "loop/base/alloc.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int an__pg_statements_init(an__pg_statements *s, size_t capacity)
{
	*s = (an__pg_statements){ .capacity = capacity, .buckets = 16 };
	an__list_init(&s->by_age);
	an__list_init(&s->dropped);
	while (s->buckets < capacity && s->buckets < 65536)
		s->buckets *= 2;
	s->bucket = an__calloc(s->buckets, sizeof(s->bucket[0]));
	return s->bucket ? 0 : -ENOMEM;
}

static void free_list(an__list *head)
{
	an__list *n;

	while ((n = an__list_pop(head)))
		free(an__container(n, an__pg_statement, age));
}

void an__pg_statements_done(an__pg_statements *s)
{
	if (!s->bucket)
		return;
	free_list(&s->by_age);
	free_list(&s->dropped);
	free(s->bucket);
	s->bucket = NULL;
}

/* FNV-1a over the text and the types. */
static uint32_t hash_of(const char *sql, const uint32_t *types, size_t count)
{
	uint32_t h = 2166136261u;

	for (; *sql; sql++)
		h = (h ^ (unsigned char)*sql) * 16777619u;
	for (size_t i = 0; i < count; i++)
		h = (h ^ types[i]) * 16777619u;
	return h;
}

static void unlink_bucket(an__pg_statements *s, an__pg_statement *e)
{
	an__pg_statement **p = &s->bucket[e->hash & (s->buckets - 1)];

	while (*p != e)
		p = &(*p)->next;
	*p = e->next;
}

static void evict_oldest(an__pg_statements *s)
{
	an__pg_statement *e = an__container(s->by_age.prev, an__pg_statement, age);

	unlink_bucket(s, e);
	an__list_remove(&e->age);
	s->count--;
	if (e->prepared)
		an__list_push(&s->dropped, &e->age);
	else
		free(e);
}

static void give_name(an__pg_statements *s, an__pg_statement *e)
{
	snprintf(e->name, sizeof(e->name), "an_%" PRIu64, ++s->serial);
}

static an__pg_statement *find(const an__pg_statements *s, uint32_t hash, const char *sql,
			      const uint32_t *types, size_t count)
{
	an__pg_statement *e = s->bucket[hash & (s->buckets - 1)];

	for (; e; e = e->next)
		if (e->hash == hash && e->count == count && !strcmp(e->sql, sql) &&
		    (!count || !memcmp(e->types, types, count * sizeof(*types))))
			return e;
	return NULL;
}

static an__pg_statement *insert(an__pg_statements *s, uint32_t hash, const char *sql,
				size_t length, const uint32_t *types, size_t count)
{
	size_t bytes = count * sizeof(*types);
	an__pg_statement *e = an__malloc(sizeof(*e) + bytes + length + 1);

	if (!e)
		return NULL;
	*e = (an__pg_statement){ .hash = hash, .count = count };
	e->types = (uint32_t *)(void *)(e + 1);
	e->sql = (char *)e->types + bytes;
	if (bytes)
		memcpy(e->types, types, bytes);
	memcpy(e->sql, sql, length + 1);
	give_name(s, e);
	if (s->count == s->capacity)
		evict_oldest(s);
	e->next = s->bucket[hash & (s->buckets - 1)];
	s->bucket[hash & (s->buckets - 1)] = e;
	an__list_push_front(&s->by_age, &e->age);
	s->count++;
	return e;
}

an__pg_statement *an__pg_statements_use(an__pg_statements *s, const char *sql,
					const uint32_t *types, size_t count)
{
	size_t length = strnlen(sql, AN__PG_STATEMENT_MAX + 1);
	an__pg_statement *e;
	uint32_t hash;

	if (!s->capacity || length > AN__PG_STATEMENT_MAX)
		return NULL;
	hash = hash_of(sql, types, count);
	e = find(s, hash, sql, types, count);
	if (!e)
		return insert(s, hash, sql, length, types, count);
	e->seen = true;
	an__list_remove(&e->age);
	an__list_push_front(&s->by_age, &e->age);
	return e;
}

void an__pg_statements_renew(an__pg_statements *s, an__pg_statement *e, bool deallocate)
{
	an__pg_statement *ghost;

	if (e->prepared && deallocate) {
		/* Without memory the old plan stays with the server for the connection's
		 * life. */
		ghost = an__malloc(sizeof(*ghost));
		if (ghost) {
			*ghost = (an__pg_statement){ .prepared = true };
			memcpy(ghost->name, e->name, sizeof(ghost->name));
			an__list_push(&s->dropped, &ghost->age);
		}
	}
	e->prepared = false;
	give_name(s, e);
}

const char *an__pg_statements_dropped(const an__pg_statements *s)
{
	if (an__list_empty(&s->dropped))
		return NULL;
	return an__container(s->dropped.next, an__pg_statement, age)->name;
}

void an__pg_statements_deallocated(an__pg_statements *s)
{
	an__list *n = an__list_pop(&s->dropped);

	if (n)
		free(an__container(n, an__pg_statement, age));
}
