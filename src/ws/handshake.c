/* The opening handshake's rules. L5, sans-I/O.
 *
 * Invariant: a field that must be there once is refused when it is there twice, since two
 * readers could take different ones.
 */
#include "ws/handshake.h"

#include "http/headers.h"

#include <asyncnet/error.h>
#include <errno.h>
#include <openssl/evp.h>
#include <string.h>
#include <strings.h>

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* section 1.3 */

int an__ws_key_make(an__ws_random *random, char ret[AN__WS_KEY_SIZE])
{
	uint8_t nonce[16];
	int r = an__ws_random_bytes(random, nonce, sizeof(nonce));

	if (r == 0)
		EVP_EncodeBlock((unsigned char *)ret, nonce, sizeof(nonce));
	return r;
}

bool an__ws_key_valid(const char *key)
{
	unsigned char raw[18], again[AN__WS_KEY_SIZE];

	if (strlen(key) != AN__WS_KEY_SIZE - 1 || strcmp(key + 22, "==") != 0)
		return false;
	if (EVP_DecodeBlock(raw, (const unsigned char *)key, AN__WS_KEY_SIZE - 1) != 18)
		return false;
	EVP_EncodeBlock(again, raw, 16);
	return memcmp(again, key, AN__WS_KEY_SIZE) == 0;
}

int an__ws_accept_make(const char *key, char ret[AN__WS_ACCEPT_SIZE])
{
	char text[AN__WS_KEY_SIZE - 1 + sizeof(GUID)];
	unsigned char digest[EVP_MAX_MD_SIZE];
	size_t len = strnlen(key, AN__WS_KEY_SIZE - 1);

	memcpy(text, key, len);
	memcpy(text + len, GUID, sizeof(GUID));
	if (EVP_Digest(text, len + sizeof(GUID) - 1, digest, NULL, EVP_sha1(), NULL) != 1)
		return -EIO;
	EVP_EncodeBlock((unsigned char *)ret, digest, 20);
	return 0;
}

/* The value of a field that is there exactly once; else NULL. */
static const char *only(const an_http_headers *h, const char *name)
{
	const char *found = NULL;

	for (size_t i = 0; i < an_http_headers_count(h); i++) {
		an_http_header field = an_http_headers_at(h, i);

		if (strcasecmp(field.name, name) != 0)
			continue;
		if (found)
			return NULL;
		found = field.value;
	}
	return found;
}

/* ---- origins -------------------------------------------------------------------- */

/* Browsers write an origin and the Host field of its requests alike, in lower case and
 * without the scheme's own port, so that the text behind "://" can be compared as it
 * is. */
static bool same_origin(const char *origin, const char *host)
{
	const char *authority = strstr(origin, "://");

	return authority && host && strcasecmp(authority + 3, host) == 0;
}

static bool origin_allowed(const an_http_headers *h, const char *const *origins)
{
	const char *origin = only(h, "origin");

	if (!origin)
		return !an_http_headers_get(h, "origin");
	if (!origins)
		return same_origin(origin, only(h, "host"));
	for (; *origins; origins++) {
		if (strcmp(*origins, "*") == 0 || strcasecmp(*origins, origin) == 0)
			return true;
	}
	return false;
}

/* ---- the server's side ---------------------------------------------------------- */

int an__ws_request_check(const an__ws_request *request, const char *const *origins,
			 const char **ret_key)
{
	const an_http_headers *h = request->headers;
	const char *version, *key;

	if (!an_http_headers_has(h, "upgrade", "websocket") ||
	    !an_http_headers_has(h, "connection", "upgrade"))
		return 426;
	if (strcmp(request->method, "GET") != 0 || request->minor_version < 1 ||
	    request->has_body)
		return 400;
	version = only(h, "sec-websocket-version");
	if (!version || strcmp(version, "13") != 0)
		return 426;
	key = only(h, "sec-websocket-key");
	if (!key || !an__ws_key_valid(key) || !only(h, "host"))
		return 400;
	if (!origin_allowed(h, origins))
		return 403;
	*ret_key = key;
	return 0;
}

static const char *find(const char *const *list, const char *name, size_t len)
{
	for (; list && *list; list++) {
		if (strlen(*list) == len && memcmp(*list, name, len) == 0)
			return *list;
	}
	return NULL;
}

const char *an__ws_protocol_choose(const an_http_headers *headers,
				   const char *const *supported)
{
	for (size_t i = 0; supported && i < an_http_headers_count(headers); i++) {
		an_http_header field = an_http_headers_at(headers, i);
		size_t pos = 0, len;
		const char *name, *chosen;

		if (strcasecmp(field.name, "sec-websocket-protocol") != 0)
			continue;
		while (an__http_list_next(field.value, strlen(field.value), &pos, &name,
					  &len)) {
			chosen = find(supported, name, len);
			if (chosen)
				return chosen;
		}
	}
	return NULL;
}

/* ---- the client's side ---------------------------------------------------------- */

static const char *why_not(int status, const an_http_headers *h, const char *key)
{
	char expected[AN__WS_ACCEPT_SIZE];
	const char *accept = only(h, "sec-websocket-accept");

	if (status != 101)
		return "the answer's status is not 101";
	if (!an_http_headers_has(h, "upgrade", "websocket"))
		return "the answer has no \"Upgrade: websocket\"";
	if (!an_http_headers_has(h, "connection", "upgrade"))
		return "the answer has no \"Connection: Upgrade\"";
	if (!accept)
		return "the answer has not one Sec-WebSocket-Accept";
	if (an__ws_accept_make(key, expected) < 0 || strcmp(accept, expected) != 0)
		return "the answer's Sec-WebSocket-Accept does not fit the key";
	if (an_http_headers_get(h, "sec-websocket-extensions"))
		return "the answer has an extension that was not offered";
	return NULL;
}

int an__ws_response_check(int status, const an_http_headers *headers, const char *key,
			  const char *const *offered, const char **ret_protocol,
			  const char **ret_why)
{
	const char *why = why_not(status, headers, key), *protocol = NULL;

	if (!why && an_http_headers_get(headers, "sec-websocket-protocol")) {
		const char *name = only(headers, "sec-websocket-protocol");

		protocol = name ? find(offered, name, strlen(name)) : NULL;
		if (!protocol)
			why = "the answer has a subprotocol that was not offered";
	}
	if (why) {
		*ret_why = why;
		return AN_ERR_WS_HANDSHAKE;
	}
	*ret_protocol = protocol;
	return 0;
}

bool an__ws_protocols_valid(const char *const *protocols)
{
	for (size_t i = 0; protocols && protocols[i]; i++) {
		size_t len = strlen(protocols[i]);

		if (!an__http_all(protocols[i], len, AN__C_TOKEN) ||
		    find(protocols + i + 1, protocols[i], len))
			return false;
	}
	return true;
}

bool an__ws_field_allowed(const char *name)
{
	static const char *const ours[] = { "host", "upgrade", "connection",
					    "content-length", "transfer-encoding" };

	if (strncasecmp(name, "sec-websocket-", 14) == 0)
		return false;
	for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++) {
		if (strcasecmp(name, ours[i]) == 0)
			return false;
	}
	return true;
}
