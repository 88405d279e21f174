/* Redirects: see redirect.h. L4, sans-I/O.
 *
 * An origin is scheme, host and port: credentials that followed a redirect to another
 * port of the same host were a security hole of well-known clients for years.
 */
#include "http/redirect.h"

#include <asyncnet/error.h>
#include <string.h>
#include <strings.h>

bool an__redirect_status(int status)
{
	return status == 301 || status == 302 || status == 303 || status == 307 ||
	       status == 308;
}

static int refuse(const char *why, const char **ret_why)
{
	*ret_why = why;
	return AN_ERR_REDIRECT;
}

int an__redirect_plan(const an__redirect_from *from, const char *location,
		      size_t location_len, char *text, size_t cap, an__redirect *ret,
		      const char **ret_why)
{
	an__redirect plan = { 0 };
	long n;

	n = an__url_resolve(from->url, from->url_len, location, location_len, text, cap);
	if (n < 0 || an__url_parse(text, (size_t)n, &plan.url) || plan.url.websocket)
		return refuse("the redirect's Location is not a usable URL", ret_why);
	if (from->parts->tls && !plan.url.tls && !from->downgrade)
		return refuse("the redirect leads from https to http", ret_why);
	plan.url_len = (size_t)n;
	plan.to_get = (from->status == 303 && !from->head) ||
		      ((from->status == 301 || from->status == 302) && from->post);
	if (!plan.to_get && !from->replayable)
		return refuse(
			"the redirect needs the body again, which cannot be replayed",
			ret_why);
	plan.cross_origin = !an__url_same_origin(from->parts, &plan.url);
	*ret = plan;
	return 0;
}

static bool is(const char *name, size_t len, const char *word)
{
	return len == strlen(word) && !strncasecmp(name, word, len);
}

bool an__redirect_keeps(const char *name, size_t len, bool to_get, bool cross_origin)
{
	if (cross_origin &&
	    (is(name, len, "Authorization") || is(name, len, "Cookie") ||
	     is(name, len, "Proxy-Authorization") || is(name, len, "Host")))
		return false;
	if (to_get && ((len > 8 && !strncasecmp(name, "Content-", 8)) ||
		       is(name, len, "Digest") || is(name, len, "Expect")))
		return false;
	return true;
}
