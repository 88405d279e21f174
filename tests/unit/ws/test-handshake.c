/* The opening handshake's rules, on heads as they come from the parser. */
#include "http/parse.h"
#include "tests/support/program.h"
#include "ws/handshake.h"

#include <asyncnet/error.h>
#include <stdio.h>
#include <string.h>

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

/* ---- a parsed head -------------------------------------------------------------- */

typedef struct parsed {
	an__http_head head;
	char *copy;
} parsed;

static void parse(parsed *p, enum an__http_kind kind, const char *text)
{
	size_t len = strlen(text);

	an__http_head_init(&p->head, kind,
			   kind == AN__HTTP_REQUEST ? &an__http_server_limits
						    : &an__http_client_limits);
	assert_int_equal(an__http_head_parse(&p->head, text, len), len);
	p->copy = malloc(len);
	assert_non_null(p->copy);
	memcpy(p->copy, text, len);
	an__http_headers_adopt(&p->head.headers, p->copy);
}

static void done(parsed *p)
{
	an__http_head_done(&p->head);
	free(p->copy);
}

/* ---- requests ------------------------------------------------------------------- */

static int check_text(const char *method, const char *text, const char *const *origins)
{
	parsed p;
	const char *key = NULL;
	an__ws_request request;
	int status;

	parse(&p, AN__HTTP_REQUEST, text);
	request = (an__ws_request){
		.method = method,
		.minor_version = p.head.minor,
		.has_body = p.head.framing != AN__HTTP_NO_BODY,
		.headers = &p.head.headers,
	};
	status = an__ws_request_check(&request, origins, &key);
	if (status == 0)
		assert_string_equal(key, KEY);
	done(&p);
	return status;
}

#define REQUEST(rest) "GET /chat HTTP/1.1\r\nHost: example.org\r\n" rest "\r\n"
#define UPGRADE "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define VERSION_13 "Sec-WebSocket-Version: 13\r\n"
#define FULL UPGRADE VERSION_13 "Sec-WebSocket-Key: " KEY "\r\n"

static int check(const char *text)
{
	return check_text("GET", text, NULL);
}

static void a_request_as_in_the_rfc_is_taken(void **state)
{
	(void)state;
	assert_int_equal(check(REQUEST(FULL)), 0);
}

static void lists_and_case_do_not_matter(void **state)
{
	(void)state;
	assert_int_equal(check(REQUEST("UPGRADE: h2c, WebSocket\r\n"
				       "connection: keep-alive, Upgrade\r\n" VERSION_13
				       "sec-websocket-key: " KEY "\r\n")),
			 0);
	assert_int_equal(check(REQUEST("Upgrade: websocket\r\nConnection: keep-alive\r\n"
				       "Connection: upgrade\r\n" VERSION_13
				       "Sec-WebSocket-Key: " KEY "\r\n")),
			 0);
}

static void what_asks_for_no_websocket_is_426(void **state)
{
	(void)state;
	assert_int_equal(check(REQUEST("")), 426);
	assert_int_equal(check(REQUEST("Upgrade: websocket\r\n" VERSION_13)), 426);
	assert_int_equal(
		check(REQUEST("Upgrade: h2c\r\nConnection: Upgrade\r\n" VERSION_13)),
		426);
}

static void another_version_is_426(void **state)
{
	(void)state;
	assert_int_equal(check(REQUEST(UPGRADE "Sec-WebSocket-Version: 8\r\n"
					       "Sec-WebSocket-Key: " KEY "\r\n")),
			 426);
	assert_int_equal(check(REQUEST(UPGRADE "Sec-WebSocket-Key: " KEY "\r\n")), 426);
	assert_int_equal(check(REQUEST(FULL VERSION_13)), 426);
}

static void a_missing_double_or_bad_key_is_400(void **state)
{
	static const char *const keys[] = {
		"",
		"Sec-WebSocket-Key: \r\n",
		"Sec-WebSocket-Key: " KEY "\r\nSec-WebSocket-Key: " KEY "\r\n",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=\r\n",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==\r\n", /* stray bits */
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j!Q==\r\n",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZTEy\r\n", /* 18 bytes */
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub24=\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		char text[500];

		snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\n%s%s\r\n",
			 UPGRADE VERSION_13, keys[i]);
		assert_int_equal(check(text), 400);
	}
}

static void another_method_an_old_version_and_a_body_are_400(void **state)
{
	(void)state;
	assert_int_equal(check_text("POST",
				    "POST / HTTP/1.1\r\nHost: a\r\n" FULL
				    "Content-Length: 0\r\n\r\n",
				    NULL),
			 400);
	assert_int_equal(check("GET / HTTP/1.0\r\nHost: a\r\n" FULL "\r\n"), 400);
	assert_int_equal(check(REQUEST(FULL "Content-Length: 3\r\n")), 400);
}

static void without_a_list_the_origin_must_be_the_host(void **state)
{
	(void)state;
	assert_int_equal(check(REQUEST(FULL "Origin: https://example.org\r\n")), 0);
	assert_int_equal(check(REQUEST(FULL "Origin: http://EXAMPLE.org\r\n")), 0);
	assert_int_equal(check(REQUEST(FULL "Origin: http://example.org:81\r\n")), 403);
	assert_int_equal(check(REQUEST(FULL "Origin: http://example.org.evil\r\n")), 403);
	assert_int_equal(check(REQUEST(FULL "Origin: http://evil/://example.org\r\n")),
			 403);
	assert_int_equal(check(REQUEST(FULL "Origin: null\r\n")), 403);
	assert_int_equal(check(REQUEST(FULL "Origin: http://example.org\r\n"
					    "Origin: http://example.org\r\n")),
			 403);
}

static void a_list_names_the_origins_that_are_let_in(void **state)
{
	const char *const list[] = { "https://a.example", "https://b.example", NULL };
	const char *const all[] = { "*", NULL };
	const char *const none[] = { NULL };

	(void)state;
	assert_int_equal(
		check_text("GET", REQUEST(FULL "Origin: https://b.example\r\n"), list),
		0);
	assert_int_equal(
		check_text("GET", REQUEST(FULL "Origin: https://example.org\r\n"), list),
		403);
	assert_int_equal(check_text("GET", REQUEST(FULL "Origin: null\r\n"), all), 0);
	assert_int_equal(check_text("GET", REQUEST(FULL), none), 0);
	assert_int_equal(check_text("GET", REQUEST(FULL "Origin: https://a\r\n"), none),
			 403);
}

static void the_clients_first_supported_subprotocol_is_chosen(void **state)
{
	static const char *const supported[] = { "chat", "superchat", NULL };
	static const struct {
		const char *fields, *chosen;
	} cases[] = {
		{ "", NULL },
		{ "Sec-WebSocket-Protocol: soap\r\n", NULL },
		{ "Sec-WebSocket-Protocol: soap, superchat,chat\r\n", "superchat" },
		{ "Sec-WebSocket-Protocol: soap\r\nSec-WebSocket-Protocol: chat\r\n",
		  "chat" },
		{ "Sec-WebSocket-Protocol: Chat, chatter\r\n", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char text[500];
		const char *chosen;
		parsed p;

		snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n",
			 cases[i].fields);
		parse(&p, AN__HTTP_REQUEST, text);
		chosen = an__ws_protocol_choose(&p.head.headers, supported);
		if (cases[i].chosen)
			assert_string_equal(chosen, cases[i].chosen);
		else
			assert_null(chosen);
		assert_null(an__ws_protocol_choose(&p.head.headers, NULL));
		done(&p);
	}
}

/* ---- answers -------------------------------------------------------------------- */

static int check_answer(const char *text, const char *const *offered,
			const char **ret_protocol)
{
	const char *why = NULL;
	parsed p;
	int r;

	parse(&p, AN__HTTP_RESPONSE, text);
	*ret_protocol = NULL;
	r = an__ws_response_check(p.head.status, &p.head.headers, KEY, offered,
				  ret_protocol, &why);
	if (r < 0)
		assert_non_null(why);
	done(&p);
	return r;
}

#define ANSWER(rest) "HTTP/1.1 101 Switching Protocols\r\n" rest "\r\n"
#define GOOD UPGRADE "Sec-WebSocket-Accept: " ACCEPT "\r\n"

static void an_answer_as_in_the_rfc_is_taken(void **state)
{
	const char *protocol;

	(void)state;
	assert_int_equal(check_answer(ANSWER(GOOD), NULL, &protocol), 0);
	assert_null(protocol);
}

static void an_answer_that_does_not_fit_is_refused(void **state)
{
	static const char *const answers[] = {
		"HTTP/1.1 200 OK\r\n" GOOD "\r\n",
		"HTTP/1.1 403 Forbidden\r\n\r\n",
		ANSWER("Connection: Upgrade\r\nSec-WebSocket-Accept: " ACCEPT "\r\n"),
		ANSWER("Upgrade: websocket\r\nSec-WebSocket-Accept: " ACCEPT "\r\n"),
		ANSWER(UPGRADE),
		ANSWER(UPGRADE "Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
		ANSWER(GOOD "Sec-WebSocket-Accept: " ACCEPT "\r\n"),
		ANSWER(GOOD "Sec-WebSocket-Extensions: permessage-deflate\r\n"),
		ANSWER(GOOD "Sec-WebSocket-Protocol: soap\r\n"),
		ANSWER(GOOD "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: "
			    "chat\r\n"),
		ANSWER(GOOD "Sec-WebSocket-Protocol: chat, superchat\r\n"),
	};
	static const char *const offered[] = { "chat", "superchat", NULL };
	const char *protocol;

	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++)
		assert_int_equal(check_answer(answers[i], offered, &protocol),
				 AN_ERR_WS_HANDSHAKE);
	assert_int_equal(check_answer(ANSWER(GOOD "Sec-WebSocket-Protocol: chat\r\n"),
				      NULL, &protocol),
			 AN_ERR_WS_HANDSHAKE);
}

static void an_offered_subprotocol_is_agreed_on(void **state)
{
	static const char *const offered[] = { "chat", "superchat", NULL };
	const char *protocol;

	(void)state;
	assert_int_equal(
		check_answer(ANSWER(GOOD "Sec-WebSocket-Protocol: superchat\r\n"),
			     offered, &protocol),
		0);
	assert_ptr_equal(protocol, offered[1]);
}

/* ---- keys ----------------------------------------------------------------------- */

static void the_accept_is_that_of_the_rfc(void **state)
{
	char accept[AN__WS_ACCEPT_SIZE];

	(void)state;
	assert_int_equal(an__ws_accept_make(KEY, accept), 0);
	assert_string_equal(accept, ACCEPT);
}

static void every_key_is_fresh_and_valid(void **state)
{
	static an__ws_random random;
	char keys[200][AN__WS_KEY_SIZE];

	(void)state;
	for (size_t i = 0; i < 200; i++) {
		assert_int_equal(an__ws_key_make(&random, keys[i]), 0);
		assert_true(an__ws_key_valid(keys[i]));
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(keys[i], keys[j]);
	}
}

static void subprotocols_are_tokens_and_named_once(void **state)
{
	(void)state;
	assert_true(an__ws_protocols_valid(NULL));
	assert_true(an__ws_protocols_valid((const char *[]){ "a", "b.c", NULL }));
	assert_false(an__ws_protocols_valid((const char *[]){ "a", "a", NULL }));
	assert_false(an__ws_protocols_valid((const char *[]){ "", NULL }));
	assert_false(an__ws_protocols_valid((const char *[]){ "a,b", NULL }));
	assert_false(an__ws_protocols_valid((const char *[]){ "a\r\nX: y", NULL }));
}

static void the_handshakes_own_fields_are_not_the_applications(void **state)
{
	(void)state;
	assert_true(an__ws_field_allowed("Authorization"));
	assert_true(an__ws_field_allowed("Origin"));
	assert_false(an__ws_field_allowed("HOST"));
	assert_false(an__ws_field_allowed("connection"));
	assert_false(an__ws_field_allowed("Sec-WebSocket-Extensions"));
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_request_as_in_the_rfc_is_taken),
	cmocka_unit_test(lists_and_case_do_not_matter),
	cmocka_unit_test(what_asks_for_no_websocket_is_426),
	cmocka_unit_test(another_version_is_426),
	cmocka_unit_test(a_missing_double_or_bad_key_is_400),
	cmocka_unit_test(another_method_an_old_version_and_a_body_are_400),
	cmocka_unit_test(without_a_list_the_origin_must_be_the_host),
	cmocka_unit_test(a_list_names_the_origins_that_are_let_in),
	cmocka_unit_test(the_clients_first_supported_subprotocol_is_chosen),
	cmocka_unit_test(an_answer_as_in_the_rfc_is_taken),
	cmocka_unit_test(an_answer_that_does_not_fit_is_refused),
	cmocka_unit_test(an_offered_subprotocol_is_agreed_on),
	cmocka_unit_test(the_accept_is_that_of_the_rfc),
	cmocka_unit_test(every_key_is_fresh_and_valid),
	cmocka_unit_test(subprotocols_are_tokens_and_named_once),
	cmocka_unit_test(the_handshakes_own_fields_are_not_the_applications),
};

TEST_MAIN("ws/handshake", tests)
