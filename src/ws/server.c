/* The server's opening handshake, inside an HTTP handler. L5. */
#include "loop/base/alloc.h"
#include "ws/conn.h"
#include "ws/handshake.h"

#include <asyncnet/error.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Answers a request that is refused. Returns what an_ws_accept() returns. */
static int refuse(an_http_exchange *x, int status)
{
	static const an_http_header upgrade[] = { { "upgrade", "websocket" },
						  { "sec-websocket-version", "13" },
						  { NULL, NULL } };
	const char *text = status == 403   ? "This origin is not allowed.\n"
			   : status == 426 ? "This is a WebSocket, version 13.\n"
					   : "This is not a WebSocket handshake.\n";
	int r = an_http_respond(x, status, status == 426 ? upgrade : NULL, text,
				strlen(text));

	return r < 0 ? r : AN_ERR_WS_HANDSHAKE;
}

static size_t count_fields(const an_http_header *fields)
{
	size_t n = 0;

	while (fields && fields[n].name)
		n++;
	return n;
}

/* The fields of the answer: two of the handshake's and the application's. Returns 0;
 * -EINVAL; -ENOMEM. The list is the caller's to free. */
static int answer_fields(const an_http_header *more, const char *accept,
			 const char *protocol, an_http_header **ret)
{
	size_t count = count_fields(more), n = 0;
	an_http_header *fields = NULL;

	for (size_t i = 0; i < count; i++) {
		if (!an__ws_field_allowed(more[i].name))
			return -EINVAL;
	}
	fields = an__calloc(count + 3, sizeof(*fields));
	if (!fields)
		return -ENOMEM;
	fields[n++] = (an_http_header){ "sec-websocket-accept", accept };
	if (protocol)
		fields[n++] = (an_http_header){ "sec-websocket-protocol", protocol };
	if (count)
		memcpy(fields + n, more, count * sizeof(*fields));
	*ret = fields;
	return 0;
}

static int upgrade(an_http_exchange *x, const an_ws_opts *opts, const char *key,
		   an_ws **ret)
{
	const char *protocol =
		an__ws_protocol_choose(an_http_request_headers(x), opts->protocols);
	char accept[AN__WS_ACCEPT_SIZE];
	an_http_header *fields = NULL;
	an_stream *stream;
	int r = an__ws_accept_make(key, accept);

	if (r == 0)
		r = answer_fields(opts->headers, accept, protocol, &fields);
	if (r < 0)
		return r;
	r = an_http_upgrade(x, "websocket", fields, &stream);
	free(fields);
	if (r < 0)
		return r;
	r = an__ws_new(stream, false, protocol, opts, ret);
	if (r < 0)
		an_stream_close(stream);
	return r;
}

int an_ws_accept(an_http_exchange *x, const an_ws_opts *opts, an_ws **ret)
{
	static const an_ws_opts defaults;
	const an__ws_request request = {
		.method = an_http_method(x),
		.minor_version = an_http_minor_version(x),
		.has_body = an_http_request_length(x) != 0,
		.headers = an_http_request_headers(x),
	};
	const char *key = NULL;
	int status;

	if (!opts)
		opts = &defaults;
	if (!an__ws_protocols_valid(opts->protocols))
		return -EINVAL;
	status = an__ws_request_check(&request, opts->origins, &key);
	return status ? refuse(x, status) : upgrade(x, opts, key, ret);
}
