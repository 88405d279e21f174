/* Routes: patterns over decoded path segments. L4, sans-I/O.
 *
 * A trie with one level for each segment. At each node literal segments win over a
 * parameter, and that over the rest; where the more literal way ends without a route for
 * the method, the others are tried.
 */
#ifndef AN_HTTP_ROUTER_H
#define AN_HTTP_ROUTER_H

#include <asyncnet/http.h>

enum {
	AN__ROUTE_SEGMENTS = 64, /* of a pattern */
	AN__ROUTE_PARAMS = 16,
};

struct an__route_node;

typedef struct an__route {
	struct an__route *next; /* at the same node, another method */
	char *method;		/* NULL: any */
	an_http_handler handler;
	void *arg;
	size_t count;
	char *names[AN__ROUTE_PARAMS]; /* of the parameters, in their order */
} an__route;

typedef struct an__router {
	struct an__route_node *root;
} an__router;

/* Parameters in their order, pointing into the memory given to an__router_match(). */
typedef struct an__route_params {
	size_t count;
	const char *value[AN__ROUTE_PARAMS];
} an__route_params;

void an__router_init(an__router *r);
void an__router_done(an__router *r);

/* As an_http_route(). */
int an__router_add(an__router *r, const char *method, const char *pattern,
		   an_http_handler handler, void *arg);

/* Finds the route for a raw path. `scratch` takes path_len + 1 bytes and holds the
 * parameters.
 * Returns 0 with a route; 404, 405 or 400 as a positive status. */
int an__router_match(const an__router *r, const char *method, const char *path,
		     size_t path_len, char *scratch, const an__route **ret,
		     an__route_params *ret_params);

/* The methods that a raw path has routes for, as the value of an Allow field ("GET, HEAD,
 * OPTIONS"), cut to `cap`; with NULL those of all paths. Returns how many routes there
 * are. */
size_t an__router_allow(const an__router *r, const char *path, size_t path_len,
			char *scratch, char *buf, size_t cap);

#endif
