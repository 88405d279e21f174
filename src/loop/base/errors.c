/* The texts and names of error codes. L0. */
#include "config.h"

#include <asyncnet/error.h>

#include <string.h>

struct code {
	const char *name;
	const char *text;
};

/* By ordinal: code AN_ERR_BASE - 1 - i is at i. */
static const struct code own_codes[] = {
#define ROW(name, text) { #name, text },
	AN_ERR_LIST(ROW)
#undef ROW
};

static const struct code *own_code(int code)
{
	if (code >= AN_ERR_BASE || code <= AN__ERR_LAST)
		return NULL;
	return &own_codes[AN_ERR_BASE - 1 - code];
}

const char *an_strerror(int code)
{
	const struct code *own = own_code(code);

	if (own)
		return own->text;
	if (code >= 0)
		return "success";
	if (code < AN_ERR_BASE)
		return "unknown error";
	return strerror(-code);
}

const char *an_error_name(int code)
{
	const struct code *own = own_code(code);
	const char *name;

	if (own)
		return own->name;
	if (code >= 0)
		return "success";
	if (code < AN_ERR_BASE)
		return "unknown";
	name = strerrorname_np(-code);
	return name ? name : "unknown";
}
