/* Parameters: their constructors and their arrays for libpq. L4, no I/O.
 *
 * Small numbers are kept in the parameter itself in network order, so a parameter can be
 * copied freely until the arrays are made.
 */
#include "db/param.h"
#include "loop/base/alloc.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define LENGTH_NULL (-1)
#define LENGTH_TEXT (-2)
#define LENGTH_BAD (-3)

static an_pg_param number(uint32_t type, uint64_t value, int length)
{
	an_pg_param p = { .type = type, .length = length };

	for (int i = 0; i < length; i++)
		p.bytes[i] = (char)(value >> (8 * (length - 1 - i)));
	return p;
}

an_pg_param an_pg_null(void)
{
	return (an_pg_param){ .length = LENGTH_NULL };
}

an_pg_param an_pg_text(const char *value)
{
	if (!value)
		return an_pg_null();
	return (an_pg_param){ .length = LENGTH_TEXT, .data = value };
}

an_pg_param an_pg_textn(const char *value, size_t length)
{
	return an_pg_binary(AN__PG_TEXT, value, length);
}

an_pg_param an_pg_int4(int32_t value)
{
	return number(AN__PG_INT4, (uint32_t)value, 4);
}

an_pg_param an_pg_int8(int64_t value)
{
	return number(AN__PG_INT8, (uint64_t)value, 8);
}

an_pg_param an_pg_float8(double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return number(AN__PG_FLOAT8, bits, 8);
}

an_pg_param an_pg_bool(bool value)
{
	return number(AN__PG_BOOL, value, 1);
}

an_pg_param an_pg_bytea(const void *data, size_t length)
{
	return an_pg_binary(AN__PG_BYTEA, data, length);
}

an_pg_param an_pg_timestamptz(int64_t unix_microseconds)
{
	return number(AN__PG_TIMESTAMPTZ,
		      (uint64_t)unix_microseconds - (uint64_t)AN__PG_EPOCH, 8);
}

an_pg_param an_pg_binary(uint32_t type, const void *data, size_t length)
{
	/* The server takes no value of 1 GiB or more (MaxAllocSize); found out here, it
	 * does not cost the connection. */
	return (an_pg_param){
		.type = type,
		.length = length < (1u << 30) ? (int32_t)length : LENGTH_BAD,
		.data = data ? data : "",
	};
}

static int alloc_arrays(an__pg_args *a)
{
	char *heap = an__malloc(a->count * (sizeof(*a->values) + sizeof(*a->types) +
					    sizeof(*a->lengths) + sizeof(*a->formats)));

	if (!heap)
		return -ENOMEM;
	a->heap = heap;
	a->values = (const char **)(void *)heap;
	a->types = (uint32_t *)(void *)(a->values + a->count);
	a->lengths = (int *)(void *)(a->types + a->count);
	a->formats = a->lengths + a->count;
	return 0;
}

static int set_argument(an__pg_args *a, size_t i, const an_pg_param *p)
{
	if (p->length < LENGTH_TEXT)
		return -EINVAL;
	a->types[i] = p->type;
	a->formats[i] = p->length >= 0;
	a->lengths[i] = p->length > 0 ? p->length : 0;
	if (p->length == LENGTH_NULL)
		a->values[i] = NULL;
	else
		a->values[i] = p->data ? p->data : p->bytes;
	return 0;
}

int an__pg_args_init(an__pg_args *a, const an_pg_params *params)
{
	int r = 0;

	a->heap = NULL;
	a->count = params ? params->count : 0;
	a->types = a->few_types;
	a->values = a->few_values;
	a->lengths = a->few_lengths;
	a->formats = a->few_formats;
	if (a->count > 65535) /* an Int16 in the Bind message */
		return -EINVAL;
	if (a->count > AN__PG_PARAMS_FEW)
		r = alloc_arrays(a);
	for (size_t i = 0; !r && i < a->count; i++)
		r = set_argument(a, i, &params->list[i]);
	if (r)
		an__pg_args_done(a);
	return r;
}

void an__pg_args_done(an__pg_args *a)
{
	free(a->heap);
	a->heap = NULL;
}
