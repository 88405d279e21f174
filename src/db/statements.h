/* Which statements are prepared on one connection: least recently used out. L4, no I/O,
 * no libpq.
 *
 * A statement is entered when it comes for the first time and prepared when it comes
 * again. What is pushed out while the server still has it waits for its DEALLOCATE.
 */
#ifndef AN_DB_STATEMENTS_H
#define AN_DB_STATEMENTS_H

#include "loop/base/list.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A longer text is not worth keeping, and would let a hundred of them take megabytes. */
#define AN__PG_STATEMENT_MAX (16 * 1024)

typedef struct an__pg_statement {
	an__list age; /* in statements.by_age, or in statements.dropped */
	struct an__pg_statement *next; /* in its bucket */
	uint32_t hash;
	bool seen;     /* came more than once: worth preparing */
	bool prepared; /* the server has it under `name` */
	char name[24];
	size_t count; /* of parameters */
	uint32_t *types;
	char *sql;
} an__pg_statement;

typedef struct an__pg_statements {
	an__list by_age;  /* the most recently used first */
	an__list dropped; /* prepared, and wanted no more */
	an__pg_statement **bucket;
	size_t buckets, count, capacity;
	uint64_t serial; /* names are never used twice */
} an__pg_statements;

/* `capacity` may be 0. Returns 0; -ENOMEM. */
int an__pg_statements_init(an__pg_statements *s, size_t capacity);
void an__pg_statements_done(an__pg_statements *s);

/* The entry for a text and its parameter types, made when there is none; valid until the
 * next call. NULL: it is not to be kept (too long, capacity 0, no memory). */
an__pg_statement *an__pg_statements_use(an__pg_statements *s, const char *sql,
					const uint32_t *types, size_t count);

/* The plan is stale: the statement is to be prepared again, under a new name. With
 * `deallocate` the server still has the old one. */
void an__pg_statements_renew(an__pg_statements *s, an__pg_statement *entry,
			     bool deallocate);

/* The name to DEALLOCATE next, NULL for none; and that it was done. */
const char *an__pg_statements_dropped(const an__pg_statements *s);
void an__pg_statements_deallocated(an__pg_statements *s);

#endif
