/* The pool, as transactions and the loop's end see it. L4. */
#ifndef AN_DB_POOL_H
#define AN_DB_POOL_H

#include "loop/base/list.h"

#include <asyncnet/pg.h>

/* Copies what a call on a lent connection failed with, for an_pg_pool_error(). */
void an__pg_pool_note(an_pg_pool *pool, const an_pg_error *error);

/* The loop ends, and no task of a pool will run any more. `node` is the pool's in
 * an__pg_local. */
void an__pg_pool_loop_ends(an__list *node);

/* d, more or less by up to a half. */
an_duration an__pg_jitter(an_duration d);

/* The wait before attempt `failures` + 1: `min` doubled for each failure after the first,
 * at most `max`, without jitter. */
an_duration an__pg_backoff(unsigned failures, an_duration min, an_duration max);

#endif
