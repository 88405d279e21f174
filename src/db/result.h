/* A result as it is built, row by row. L4, no I/O, no libpq.
 *
 * The rows are copied out of libpq's memory: libpq is asked for one row at a time, so
 * that a result has a limit and the rest of one that nobody wants any more costs no
 * memory.
 */
#ifndef AN_DB_RESULT_H
#define AN_DB_RESULT_H

#include <asyncnet/pg.h>

typedef struct an__pg_column {
	const char *name;
	uint32_t type;
	bool binary;
} an__pg_column;

typedef struct an__pg_cell {
	size_t offset;	/* into data */
	int32_t length; /* -1: NULL */
	bool decoded;	/* a bytea that is bytes by now */
} an__pg_cell;

struct an_pg_result {
	size_t rows, columns;
	uint64_t affected;
	an__pg_cell *cells; /* rows * columns of them */
	size_t cells_used, cells_room;
	char *data; /* the values, a NUL behind each */
	size_t used, room;
	an__pg_column column[]; /* their names lie behind them */
};

/* Makes an empty result; names are copied. Returns 0; -ENOMEM. */
int an__pg_result_new(const an__pg_column *columns, size_t count, an_pg_result **ret);

/* Appends the next value of the current row; `length` -1 is NULL. Returns 0; -ENOMEM. */
int an__pg_result_add(an_pg_result *r, const char *data, int length);

/* The values of a row are complete. */
void an__pg_result_end_row(an_pg_result *r);

/* Forgets the rows, keeps the memory. */
void an__pg_result_clear(an_pg_result *r);

/* What its rows use, in bytes. */
static inline size_t an__pg_result_size(const an_pg_result *r)
{
	return r->used + r->cells_used * sizeof(an__pg_cell);
}

#endif
