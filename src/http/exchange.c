/* One request as its handler sees it. L4.
 *
 * The head was copied into the connection's arena when it was complete, so that all
 * strings live until the handler returns, wherever the stream's buffer goes meanwhile.
 */
#include "http/server-private.h"

#include <string.h>

const char *an_http_method(const an_http_exchange *x)
{
	return x->method;
}

const char *an_http_target(const an_http_exchange *x)
{
	return x->target;
}

/* Copied when it is asked for first: in the head it is not ended by a NUL. */
const char *an_http_path(const an_http_exchange *x)
{
	an_http_exchange *self = (an_http_exchange *)(uintptr_t)x;
	an__http_span span = x->c->head.path;
	char *copy;

	if (x->path)
		return x->path;
	copy = an__arena_alloc(&self->c->arena, span.len + 1u);
	if (!copy)
		return "";
	memcpy(copy, x->text + span.at, span.len);
	copy[span.len] = 0;
	self->path = copy;
	return copy;
}

const char *an_http_query(const an_http_exchange *x)
{
	return x->query;
}

const char *an_http_param(const an_http_exchange *x, const char *name)
{
	for (size_t i = 0; x->route && i < x->route->count; i++) {
		if (strcmp(x->route->names[i], name) == 0)
			return x->params.value[i];
	}
	return NULL;
}

const char *an_http_request_header(const an_http_exchange *x, const char *name)
{
	return an_http_headers_get(&x->c->head.headers, name);
}

const an_http_headers *an_http_request_headers(const an_http_exchange *x)
{
	return &x->c->head.headers;
}

int an_http_minor_version(const an_http_exchange *x)
{
	return x->c->head.minor;
}

int64_t an_http_request_length(const an_http_exchange *x)
{
	const an__http_head *h = &x->c->head;

	if (h->framing == AN__HTTP_CHUNKED_BODY)
		return -1;
	return h->content_length > 0 ? h->content_length : 0;
}

const char *an__http_peer(an__http_connection *c)
{
	if (!c->peer[0] && (!c->stream || an_stream_peer_address(c->stream, c->peer,
								 sizeof(c->peer)) < 0))
		strcpy(c->peer, "-");
	return c->peer;
}

const char *an_http_peer(an_http_exchange *x)
{
	return an__http_peer(x->c);
}

void *an_http_alloc(an_http_exchange *x, size_t size)
{
	return an__arena_alloc(&x->c->arena, size);
}
