/* Routes: see router.h. L4, sans-I/O.
 *
 * Invariants: the trie's depth is the number of segments, at most AN__ROUTE_SEGMENTS; a
 * path is decoded once, segment by segment, so that no decoded byte is ever taken for a
 * separator; each node is visited at most once for a path, so a match costs no more than
 * the trie is large.
 */
#include "http/router.h"
#include "loop/base/alloc.h"

#include "http/headers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct an__route_node {
	struct an__route_node *next; /* sibling */
	struct an__route_node *literals;
	struct an__route_node *param;
	struct an__route_node *rest;
	an__route *routes;
	size_t len;
	char literal[];
};

typedef struct an__route_node node;

/* A path taken apart: `text` holds the decoded segments, each ended by a NUL. */
struct path {
	char *text;
	size_t len;
	size_t count;			     /* may exceed what is kept */
	uint32_t at[AN__ROUTE_SEGMENTS + 1]; /* where they begin */
};

/* ---- making ------------------------------------------------------------------------ */

void an__router_init(an__router *r)
{
	r->root = NULL;
}

static void free_route(an__route *route)
{
	for (size_t i = 0; i < route->count; i++)
		free(route->names[i]);
	free(route->method);
	free(route);
}

/* Depth is limited by AN__ROUTE_SEGMENTS. */
static void free_node(node *n)
{
	while (n) {
		node *next = n->next;

		free_node(n->literals);
		free_node(n->param);
		free_node(n->rest);
		while (n->routes) {
			an__route *route = n->routes;

			n->routes = route->next;
			free_route(route);
		}
		free(n);
		n = next;
	}
}

void an__router_done(an__router *r)
{
	free_node(r->root);
	r->root = NULL;
}

static node *new_node(const char *literal, size_t len)
{
	node *n = an__calloc(1, sizeof(*n) + len + 1);

	if (n) {
		memcpy(n->literal, literal, len);
		n->len = len;
	}
	return n;
}

static node *find_literal(const node *parent, const char *s, size_t len)
{
	for (node *n = parent->literals; n; n = n->next) {
		if (n->len == len && memcmp(n->literal, s, len) == 0)
			return n;
	}
	return NULL;
}

enum segment_kind { LITERAL, PARAM, REST, INVALID };

/* What a segment of a pattern is; for parameters the name. */
static enum segment_kind segment_kind(const char *s, size_t len, size_t *ret_name_len)
{
	enum segment_kind kind = PARAM;

	if (len == 0 || *s != '{')
		return memchr(s, '{', len) || memchr(s, '}', len) ? INVALID : LITERAL;
	if (s[len - 1] != '}')
		return INVALID;
	len -= 2;
	if (len > 3 && memcmp(s + 1 + len - 3, "...", 3) == 0) {
		len -= 3;
		kind = REST;
	}
	for (size_t i = 0; i < len; i++) {
		char c = s[1 + i];

		if (!(c == '_' || c == '-' || (c >= '0' && c <= '9') ||
		      ((c | 32) >= 'a' && (c | 32) <= 'z')))
			return INVALID;
	}
	*ret_name_len = len;
	return len ? kind : INVALID;
}

static int add_name(an__route *route, const char *name, size_t len)
{
	if (route->count == AN__ROUTE_PARAMS)
		return -EINVAL;
	for (size_t i = 0; i < route->count; i++) {
		if (strlen(route->names[i]) == len &&
		    memcmp(route->names[i], name, len) == 0)
			return -EINVAL;
	}
	route->names[route->count] = an__strndup(name, len);
	if (!route->names[route->count])
		return -ENOMEM;
	route->count++;
	return 0;
}

/* Goes to the child for one segment, making it. Nodes without routes do no harm, so what
 * a failure leaves behind stays. */
static int descend(node **at, const char *s, size_t len, bool last, an__route *route)
{
	size_t name_len = 0;
	enum segment_kind kind = segment_kind(s, len, &name_len);
	node **slot, *n;
	int r = 0;

	if (kind == INVALID || (kind == REST && !last))
		return -EINVAL;
	if (kind == LITERAL &&
	    ((len == 1 && *s == '.') || (len == 2 && !memcmp(s, "..", 2))))
		return -EINVAL;
	if (kind != LITERAL)
		r = add_name(route, s + 1, name_len);
	if (r < 0)
		return r;
	slot = kind == PARAM ? &(*at)->param : kind == REST ? &(*at)->rest : NULL;
	n = slot ? *slot : find_literal(*at, s, len);
	if (!n) {
		n = new_node(slot ? "" : s, slot ? 0 : len);
		if (!n)
			return -ENOMEM;
		if (slot) {
			*slot = n;
		} else {
			n->next = (*at)->literals;
			(*at)->literals = n;
		}
	}
	*at = n;
	return 0;
}

static int walk_pattern(an__router *r, const char *pattern, an__route *route, node **ret)
{
	node *at = r->root;
	size_t segments = 0;

	if (*pattern != '/')
		return -EINVAL;
	while (*pattern == '/') {
		size_t len = strcspn(++pattern, "/");
		int e;

		if (++segments > AN__ROUTE_SEGMENTS)
			return -EINVAL;
		e = descend(&at, pattern, len, !pattern[len], route);
		if (e < 0)
			return e;
		pattern += len;
	}
	*ret = at;
	return 0;
}

static bool same_method(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static int insert_route(an__router *r, const char *pattern, an__route *route)
{
	node *at;
	int e = walk_pattern(r, pattern, route, &at);

	if (e < 0)
		return e;
	for (an__route *other = at->routes; other; other = other->next) {
		if (same_method(other->method, route->method))
			return -EEXIST;
	}
	route->next = at->routes;
	at->routes = route;
	return 0;
}

int an__router_add(an__router *r, const char *method, const char *pattern,
		   an_http_handler handler, void *arg)
{
	an__route *route;
	int e;

	if (!handler || !pattern ||
	    (method && !an__http_all(method, strlen(method), AN__C_TOKEN)))
		return -EINVAL;
	if (!r->root && !(r->root = new_node("", 0)))
		return -ENOMEM;
	route = an__calloc(1, sizeof(*route));
	if (!route)
		return -ENOMEM;
	route->handler = handler;
	route->arg = arg;
	route->method = method ? an__strdup(method) : NULL;
	e = method && !route->method ? -ENOMEM : insert_route(r, pattern, route);
	if (e < 0)
		free_route(route);
	return e;
}

/* ---- matching ---------------------------------------------------------------------- */

/* Splits at '/', decodes once, and refuses dot segments however they are spelt: a handler
 * that joins a parameter to a file name must not be led out of its folder. */
static int take_apart(struct path *p, const char *raw, size_t len, char *scratch)
{
	const char *end = raw + len;
	char *out = scratch;

	p->text = scratch;
	p->count = 0;
	if (len == 0 || *raw != '/')
		return 400;
	while (raw < end) {
		const char *begin = raw + 1;
		const char *slash = memchr(begin, '/', (size_t)(end - begin));
		size_t n = (size_t)((slash ? slash : end) - begin);
		ssize_t decoded = an__http_percent_decode(out, begin, n, false);

		if (decoded < 0 || (decoded == 1 && out[0] == '.') ||
		    (decoded == 2 && out[0] == '.' && out[1] == '.'))
			return 400;
		if (p->count < AN__ROUTE_SEGMENTS + 1)
			p->at[p->count] = (uint32_t)(out - scratch);
		p->count++;
		out += decoded;
		*out++ = 0;
		raw = begin + n;
	}
	p->len = (size_t)(out - scratch) - 1;
	return 0;
}

/* The route at a node for a method: its own, GET for HEAD, any. */
static const an__route *route_for(const node *n, const char *method)
{
	const an__route *get = NULL, *any = NULL;
	bool head = strcmp(method, "HEAD") == 0;

	for (const an__route *r = n->routes; r; r = r->next) {
		if (!r->method)
			any = r;
		else if (strcmp(r->method, method) == 0)
			return r;
		else if (head && strcmp(r->method, "GET") == 0)
			get = r;
	}
	return get ? get : any;
}

/* What is done at each node that a path ends at. Returns true to stop. */
struct search {
	const struct path *path;
	bool (*visit)(struct search *s, const node *n);
	const char *method;
	const an__route *found;
	bool others; /* there are routes, for other methods */
	an__route_params params;
	char *buf; /* of an__router_allow() */
	size_t cap, len, routes;
};

static bool search(struct search *s, const node *n, size_t depth);

static bool search_below(struct search *s, const node *n, size_t depth)
{
	bool found;

	if (!n)
		return false;
	s->params.value[s->params.count++] = s->path->text + s->path->at[depth];
	found = search(s, n, depth + 1);
	s->params.count -= !found;
	return found;
}

static bool search_rest(struct search *s, const node *n, size_t depth)
{
	if (!n || !n->routes)
		return false;
	s->params.value[s->params.count++] = s->path->text + s->path->at[depth];
	if (s->visit(s, n)) {
		/* The NULs between the segments of the rest become slashes again. */
		for (size_t i = s->path->at[depth]; i < s->path->len; i++) {
			if (!s->path->text[i])
				s->path->text[i] = '/';
		}
		return true;
	}
	s->params.count--;
	return false;
}

static bool search(struct search *s, const node *n, size_t depth)
{
	const char *text;
	node *literal;

	if (depth == s->path->count)
		return n->routes && s->visit(s, n);
	if (depth > AN__ROUTE_SEGMENTS)
		return false;
	text = s->path->text + s->path->at[depth];
	literal = find_literal(n, text, strlen(text));
	if (literal && search(s, literal, depth + 1))
		return true;
	if (*text && search_below(s, n->param, depth))
		return true;
	return search_rest(s, n->rest, depth);
}

static bool visit_for_method(struct search *s, const node *n)
{
	s->found = route_for(n, s->method);
	s->others = true;
	return s->found;
}

int an__router_match(const an__router *r, const char *method, const char *path,
		     size_t path_len, char *scratch, const an__route **ret,
		     an__route_params *ret_params)
{
	struct path p;
	struct search s = { .path = &p, .visit = visit_for_method, .method = method };
	int status = take_apart(&p, path, path_len, scratch);

	if (status)
		return status;
	if (!r->root || !search(&s, r->root, 0))
		return s.others ? 405 : 404;
	*ret = s.found;
	*ret_params = s.params;
	return 0;
}

/* ---- Allow ------------------------------------------------------------------------- */

static void allow(struct search *s, const char *method)
{
	size_t len = strlen(method), pos = 0, n;
	const char *listed;

	while (s->len && an__http_list_next(s->buf, s->len, &pos, &listed, &n)) {
		if (n == len && memcmp(listed, method, len) == 0)
			return;
	}
	if (s->len + len + 3 > s->cap)
		return;
	if (s->len) {
		memcpy(s->buf + s->len, ", ", 2);
		s->len += 2;
	}
	memcpy(s->buf + s->len, method, len);
	s->len += len;
	s->buf[s->len] = 0;
}

static bool visit_for_allow(struct search *s, const node *n)
{
	for (const an__route *r = n->routes; r; r = r->next) {
		s->routes++;
		if (!r->method)
			continue;
		allow(s, r->method);
		if (strcmp(r->method, "GET") == 0)
			allow(s, "HEAD");
	}
	return false;
}

static void allow_all(struct search *s, const node *n)
{
	for (; n; n = n->next) {
		visit_for_allow(s, n);
		allow_all(s, n->literals);
		allow_all(s, n->param);
		allow_all(s, n->rest);
	}
}

size_t an__router_allow(const an__router *r, const char *path, size_t path_len,
			char *scratch, char *buf, size_t cap)
{
	struct path p;
	struct search s = {
		.path = &p, .visit = visit_for_allow, .buf = buf, .cap = cap
	};

	*buf = 0;
	if (!r->root)
		return 0;
	if (!path)
		allow_all(&s, r->root);
	else if (take_apart(&p, path, path_len, scratch) == 0)
		search(&s, r->root, 0);
	if (s.routes)
		allow(&s, "OPTIONS");
	return s.routes;
}
