/* The opening handshake, RFC 6455 section 4, without its transport. L5, sans-I/O. */
#ifndef AN_WS_HANDSHAKE_H
#define AN_WS_HANDSHAKE_H

#include "ws/random.h"

#include <asyncnet/http.h>

enum {
	AN__WS_KEY_SIZE = 25,	 /* with the final zero */
	AN__WS_ACCEPT_SIZE = 29, /* likewise */
};

/* A fresh Sec-WebSocket-Key. Returns 0; -EIO. */
int an__ws_key_make(an__ws_random *random, char ret[AN__WS_KEY_SIZE]);

/* Whether it is the base64 of 16 bytes, in the one way there is to write it. */
bool an__ws_key_valid(const char *key);

/* The Sec-WebSocket-Accept that answers a key. Returns 0; -EIO when OpenSSL refuses. */
int an__ws_accept_make(const char *key, char ret[AN__WS_ACCEPT_SIZE]);

/* What a server must know of a request. */
typedef struct an__ws_request {
	const char *method;
	int minor_version;
	bool has_body;
	const an_http_headers *headers;
} an__ws_request;

/* Judges a request. Returns 0 and its key; or the status to answer: 400, 403 (origin),
 * 426 (no upgrade, or another version). `origins` as in an_ws_opts. */
int an__ws_request_check(const an__ws_request *request, const char *const *origins,
			 const char **ret_key);

/* Chooses a subprotocol: the first that the client offers among `supported`. Returns that
 * entry, or NULL. */
const char *an__ws_protocol_choose(const an_http_headers *headers,
				   const char *const *supported);

/* Judges a server's answer. Returns 0 and the subprotocol, an entry of `offered` or NULL;
 * or AN_ERR_WS_HANDSHAKE and why, static. */
int an__ws_response_check(int status, const an_http_headers *headers, const char *key,
			  const char *const *offered, const char **ret_protocol,
			  const char **ret_why);

/* Whether every entry is a token and no two are the same (section 4.1, 10). NULL is
 * valid. */
bool an__ws_protocols_valid(const char *const *protocols);

/* Whether a field of the application's may go with the handshake: none of the handshake's
 * own. */
bool an__ws_field_allowed(const char *name);

#endif
