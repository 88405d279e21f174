/* Results: building them, and reading them with types. L4, no I/O, no libpq.
 *
 * Invariants: cells_used is rows * columns, more only while a row is being added; every
 * value is followed by a NUL, so the text form is a C string.
 */
#include "db/result.h"
#include "loop/base/alloc.h"

#include "db/param.h"

#include <asyncnet/error.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- building ---------------------------------------------------------------------- */

int an__pg_result_new(const an__pg_column *columns, size_t count, an_pg_result **ret)
{
	size_t names = 0;
	an_pg_result *r;
	char *p;

	for (size_t i = 0; i < count; i++)
		names += strlen(columns[i].name) + 1;
	r = an__malloc(sizeof(*r) + count * sizeof(r->column[0]) + names);
	if (!r)
		return -ENOMEM;
	*r = (an_pg_result){ .columns = count };
	p = (char *)(r->column + count);
	for (size_t i = 0; i < count; i++) {
		size_t n = strlen(columns[i].name) + 1;

		r->column[i] = columns[i];
		r->column[i].name = memcpy(p, columns[i].name, n);
		p += n;
	}
	*ret = r;
	return 0;
}

/* Makes room for `need` units of `size` bytes, at least doubling. */
static void *grow(void *old, size_t *room, size_t need, size_t least, size_t size)
{
	size_t n = *room ? *room : least;
	void *p;

	while (n < need) {
		if (n > SIZE_MAX / 2 / size)
			return NULL;
		n *= 2;
	}
	p = an__realloc(old, n * size);
	if (p)
		*room = n;
	return p;
}

int an__pg_result_add(an_pg_result *r, const char *data, int length)
{
	size_t bytes = length < 0 ? 0 : (size_t)length + 1;
	void *p;

	if (r->cells_used == r->cells_room) {
		p = grow(r->cells, &r->cells_room, r->cells_used + 1, 16,
			 sizeof(*r->cells));
		if (!p)
			return -ENOMEM;
		r->cells = p;
	}
	if (r->room - r->used < bytes) {
		p = grow(r->data, &r->room, r->used + bytes, 256, 1);
		if (!p)
			return -ENOMEM;
		r->data = p;
	}
	r->cells[r->cells_used++] = (an__pg_cell){ .offset = r->used, .length = length };
	if (length >= 0) {
		memcpy(r->data + r->used, data, (size_t)length);
		r->data[r->used + (size_t)length] = '\0';
		r->used += bytes;
	}
	return 0;
}

void an__pg_result_end_row(an_pg_result *r)
{
	r->rows++;
}

void an__pg_result_clear(an_pg_result *r)
{
	r->rows = r->cells_used = r->used = 0;
}

an_pg_result *an_pg_result_free(an_pg_result *r)
{
	if (r) {
		free(r->cells);
		free(r->data);
		free(r);
	}
	return NULL;
}

/* ---- shape ------------------------------------------------------------------------- */

size_t an_pg_result_rows(const an_pg_result *r)
{
	return r->rows;
}

size_t an_pg_result_columns(const an_pg_result *r)
{
	return r->columns;
}

uint64_t an_pg_result_affected(const an_pg_result *r)
{
	return r->affected;
}

const char *an_pg_result_column_name(const an_pg_result *r, size_t column)
{
	return column < r->columns ? r->column[column].name : NULL;
}

uint32_t an_pg_result_column_type(const an_pg_result *r, size_t column)
{
	return column < r->columns ? r->column[column].type : 0;
}

int an_pg_result_column(const an_pg_result *r, const char *name)
{
	for (size_t i = 0; i < r->columns; i++)
		if (!strcmp(r->column[i].name, name))
			return (int)i;
	return -ENOENT;
}

/* ---- values ------------------------------------------------------------------------ */

/* The cell of a value; NULL for a NULL and for a place that does not exist. */
static an__pg_cell *cell_at(const an_pg_result *r, size_t row, size_t column)
{
	an__pg_cell *c;

	if (row >= r->rows || column >= r->columns)
		return NULL;
	c = &r->cells[row * r->columns + column];
	return c->length < 0 ? NULL : c;
}

bool an_pg_result_is_null(const an_pg_result *r, size_t row, size_t column)
{
	return !cell_at(r, row, column);
}

const char *an_pg_result_text(const an_pg_result *r, size_t row, size_t column)
{
	const an__pg_cell *c = cell_at(r, row, column);

	return c ? r->data + c->offset : NULL;
}

size_t an_pg_result_length(const an_pg_result *r, size_t row, size_t column)
{
	const an__pg_cell *c = cell_at(r, row, column);

	return c ? (size_t)c->length : 0;
}

static uint64_t big_endian(const char *p, int length)
{
	uint64_t v = 0;

	for (int i = 0; i < length; i++)
		v = v << 8 | (unsigned char)p[i];
	return v;
}

/* The integer types' binary form; -EINVAL for other types. */
static int binary_integer(uint32_t type, const char *p, int length, int64_t *ret)
{
	uint64_t v = big_endian(p, length <= 8 ? length : 0);

	if (type == AN__PG_INT2 && length == 2)
		*ret = (int16_t)v;
	else if (type == AN__PG_INT4 && length == 4)
		*ret = (int32_t)v;
	else if (type == AN__PG_INT8 && length == 8)
		*ret = (int64_t)v;
	else if (type == AN__PG_OID && length == 4)
		*ret = (int64_t)v;
	else
		return -EINVAL;
	return 0;
}

static int text_integer(const char *p, int length, int64_t *ret)
{
	char *end;
	long long v;

	errno = 0;
	v = strtoll(p, &end, 10);
	if (end == p || end != p + length)
		return -EINVAL;
	if (errno)
		return -errno;
	*ret = v;
	return 0;
}

int an_pg_result_int8(const an_pg_result *r, size_t row, size_t column, int64_t *ret)
{
	const an__pg_cell *c = cell_at(r, row, column);

	if (!c)
		return -ENODATA;
	if (r->column[column].binary)
		return binary_integer(r->column[column].type, r->data + c->offset,
				      c->length, ret);
	return text_integer(r->data + c->offset, c->length, ret);
}

static int binary_float(uint32_t type, const char *p, int length, double *ret)
{
	uint64_t v = big_endian(p, length <= 8 ? length : 0);
	uint32_t v4 = (uint32_t)v;
	int64_t integer;
	float f;

	if (type == AN__PG_FLOAT8 && length == 8) {
		memcpy(ret, &v, sizeof(*ret));
	} else if (type == AN__PG_FLOAT4 && length == 4) {
		memcpy(&f, &v4, sizeof(f));
		*ret = f;
	} else if (!binary_integer(type, p, length, &integer)) {
		*ret = (double)integer;
	} else {
		return -EINVAL;
	}
	return 0;
}

int an_pg_result_float8(const an_pg_result *r, size_t row, size_t column, double *ret)
{
	const an__pg_cell *c = cell_at(r, row, column);
	const char *p;
	char *end;
	double v;

	if (!c)
		return -ENODATA;
	p = r->data + c->offset;
	if (r->column[column].binary)
		return binary_float(r->column[column].type, p, c->length, ret);
	v = strtod(p, &end);
	if (end == p || end != p + c->length)
		return -EINVAL;
	if (isinf(v) && !strpbrk(p, "iI")) /* too large, not "Infinity" */
		return -ERANGE;
	*ret = v;
	return 0;
}

int an_pg_result_bool(const an_pg_result *r, size_t row, size_t column, bool *ret)
{
	const an__pg_cell *c = cell_at(r, row, column);
	char v;

	if (!c)
		return -ENODATA;
	if (r->column[column].type != AN__PG_BOOL || c->length != 1)
		return -EINVAL;
	v = r->data[c->offset];
	*ret = r->column[column].binary ? v != 0 : v == 't';
	return 0;
}

int an_pg_result_timestamptz(const an_pg_result *r, size_t row, size_t column,
			     int64_t *ret)
{
	const an__pg_cell *c = cell_at(r, row, column);
	uint32_t type = an_pg_result_column_type(r, column);
	int64_t v;

	if (!c)
		return -ENODATA;
	if (!r->column[column].binary || c->length != 8 ||
	    (type != AN__PG_TIMESTAMPTZ && type != AN__PG_TIMESTAMP))
		return -EINVAL;
	v = (int64_t)big_endian(r->data + c->offset, 8);
	/* The ends of the range stand for -infinity and infinity. */
	if (v == INT64_MIN || v > INT64_MAX - AN__PG_EPOCH)
		return -ERANGE;
	*ret = v + AN__PG_EPOCH;
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* bytea's hex form, "\x" and two digits a byte, decoded where it lies. Returns the
 * length; -EINVAL. */
static int decode_hex(char *p, int length)
{
	if (length < 2 || length % 2 || p[0] != '\\' || p[1] != 'x')
		return -EINVAL;
	for (int i = 2; i < length; i++)
		if (hex_digit(p[i]) < 0)
			return -EINVAL;
	length = length / 2 - 1;
	for (int i = 0; i < length; i++)
		p[i] = (char)(hex_digit(p[2 + 2 * i]) << 4 | hex_digit(p[3 + 2 * i]));
	p[length] = '\0';
	return length;
}

int an_pg_result_bytea(an_pg_result *r, size_t row, size_t column, const void **ret,
		       size_t *ret_length)
{
	an__pg_cell *c = cell_at(r, row, column);
	int n;

	if (!c)
		return -ENODATA;
	if (r->column[column].type != AN__PG_BYTEA)
		return -EINVAL;
	if (!r->column[column].binary && !c->decoded) {
		n = decode_hex(r->data + c->offset, c->length);
		if (n < 0)
			return n;
		c->length = n;
		c->decoded = true;
	}
	*ret = r->data + c->offset;
	*ret_length = (size_t)c->length;
	return 0;
}
