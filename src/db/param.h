/* Parameters in the form that libpq wants them. L4, no I/O. */
#ifndef AN_DB_PARAM_H
#define AN_DB_PARAM_H

#include <asyncnet/pg.h>

#define AN__PG_PARAMS_FEW 16

/* OIDs of the types that are used by name (src/include/catalog/pg_type.dat); they never
 * change. */
enum {
	AN__PG_BOOL = 16,
	AN__PG_BYTEA = 17,
	AN__PG_INT8 = 20,
	AN__PG_INT2 = 21,
	AN__PG_INT4 = 23,
	AN__PG_TEXT = 25,
	AN__PG_OID = 26,
	AN__PG_FLOAT4 = 700,
	AN__PG_FLOAT8 = 701,
	AN__PG_TIMESTAMP = 1114,
	AN__PG_TIMESTAMPTZ = 1184,
	AN__PG_NUMERIC = 1700,
};

/* Microseconds from 1970-01-01 to 2000-01-01, PostgreSQL's epoch. */
#define AN__PG_EPOCH (INT64_C(946684800) * 1000000)

typedef struct an__pg_args {
	size_t count;
	uint32_t *types;
	const char **values;
	int *lengths;
	int *formats;
	void *heap; /* NULL: the arrays are those below */
	uint32_t few_types[AN__PG_PARAMS_FEW];
	const char *few_values[AN__PG_PARAMS_FEW];
	int few_lengths[AN__PG_PARAMS_FEW];
	int few_formats[AN__PG_PARAMS_FEW];
} an__pg_args;

/* Points into `params`, which must outlive it. `params` may be NULL. Returns 0; -EINVAL;
 * -ENOMEM. */
int an__pg_args_init(an__pg_args *args, const an_pg_params *params);
void an__pg_args_done(an__pg_args *args);

#endif
