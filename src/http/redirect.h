/* What to do with a redirect: where it leads, what of the request goes along. L4,
 * sans-I/O. */
#ifndef AN_HTTP_REDIRECT_H
#define AN_HTTP_REDIRECT_H

#include "http/url.h"

/* What is asked of a redirect. */
typedef struct an__redirect_from {
	const char *url; /* of the request that was answered, as text and taken apart */
	size_t url_len;
	const an__url *parts;
	int status;
	bool head;	 /* the method was HEAD */
	bool post;	 /* the method was POST */
	bool replayable; /* the body, if any, can be sent again */
	bool downgrade;	 /* https may lead to http */
} an__redirect_from;

/* The answer. */
typedef struct an__redirect {
	size_t url_len;
	an__url url;	   /* slices of the text that was written */
	bool to_get;	   /* the method becomes GET and the body is dropped */
	bool cross_origin; /* credentials must stay behind */
} an__redirect;

/* Whether the status asks for a redirect that this library follows. */
bool an__redirect_status(int status);

/* Plans the redirect to `location` and writes the new URL to `text` (AN__URL_MAX + 1
 * bytes suffice). RFC 9110 §15.4 and what browsers do: 303 turns all but HEAD into GET,
 * 301 and 302 turn POST into GET, 307 and 308 keep method and body.
 * Returns 0; AN_ERR_REDIRECT with the reason in *ret_why. */
int an__redirect_plan(const an__redirect_from *from, const char *location,
		      size_t location_len, char *text, size_t cap, an__redirect *ret,
		      const char **ret_why);

/* Whether a field of the request goes along. `to_get`, `cross_origin`: whether any
 * redirect so far was such. Credentials and Host stay with their origin, what describes a
 * body stays with it. */
bool an__redirect_keeps(const char *name, size_t len, bool to_get, bool cross_origin);

#endif
