/* Uses the notes service through the library's own HTTP and WebSocket clients, as a check
 * and as an example of both.
 *
 *	examples/notes_client URL [FEED_URL]
 *
 * Makes, reads, changes and deletes notes at URL (http://host:port) and watches the feed
 * of FEED_URL, which may be another instance on the same database. Prints what it checks;
 * the last line is the SHA-256 of /export. Exits with 0 when everything was as it should
 * be.
 */
#include <asyncnet/asyncnet.h>
#include <asyncnet/http_client.h>
#include <asyncnet/ws.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOTES 200

struct check {
	const char *url, *feed_url;
	an_http_client *http;
	an_ws *feed;
};

/* Says what failed and ends the function with -1. */
#define EXPECT(condition, ...) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "notes_client: " __VA_ARGS__); \
			fputc('\n', stderr); \
			return -1; \
		} \
	} while (0)

/* ---- HTTP -------------------------------------------------------------------------- */

/* Sends a request with an optional JSON body, which it consumes; *ret (may be NULL) is
 * the answer's JSON or NULL. Returns the status, or a negative code. */
AN_SUSPENDS static int call(struct check *c, const char *method, const char *path,
			    json_t *body, json_t **ret)
{
	static const an_http_header headers[] = { { "content-type", "application/json" },
						  { NULL, NULL } };
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	an_http_response *response;
	const char *data;
	size_t length;
	char url[512];
	int r;

	json_decref(body);
	snprintf(url, sizeof url, "%s%s", c->url, path);
	r = an_http_send(c->http,
			 &(an_http_request){ .method = method,
					     .url = url,
					     .headers = text ? headers : NULL,
					     .body = text,
					     .body_len = text ? strlen(text) : 0 },
			 &response);
	free(text);
	EXPECT(r == 0, "%s %s: %s", method, url, an_http_client_error(c->http)->text);
	r = an_http_response_read_all(response, 0, &data, &length);
	if (r == 0 && ret)
		*ret = json_loadb(data, length, 0, NULL);
	if (r == 0)
		r = an_http_response_status(response);
	an_http_response_free(response);
	return r;
}

static json_t *note_with(const char *text)
{
	return json_pack("{s:s}", "text", text);
}

static json_int_t note_id(json_t *note)
{
	return json_integer_value(json_object_get(note, "id"));
}

/* ---- the feed ---------------------------------------------------------------------- */

/* Waits for the event `kind` of the note; others are passed over. A reset says that it
 * may have been missed while the instance had lost its database: then there is nothing to
 * wait for. */
AN_SUSPENDS static int expect_event(struct check *c, const char *kind, json_int_t id)
{
	an_ws_message message;

	for (;;) {
		json_t *event;
		const char *name;
		json_int_t of;
		bool found;
		int r = an_ws_recv(c->feed, &message);

		EXPECT(r == 0, "the feed ended: %s", an_strerror(r));
		event = json_loadb(message.data, message.len, 0, NULL);
		name = json_string_value(json_object_get(event, "event"));
		EXPECT(name, "an event that is none: %.*s", (int)message.len,
		       (const char *)message.data);
		of = strcmp(name, "delete") == 0
			     ? note_id(event)
			     : note_id(json_object_get(event, "note"));
		found = (of == id && strcmp(name, kind) == 0) ||
			strcmp(name, "reset") == 0;
		json_decref(event);
		if (found)
			return 0;
	}
}

/* ---- the checks -------------------------------------------------------------------- */

AN_SUSPENDS static int check_one_note(struct check *c)
{
	json_t *note = NULL, *changed = NULL;
	char path[64];
	json_int_t id;
	int r = call(c, "POST", "/notes", note_with("written by the client"), &note);

	EXPECT(r == 201 && note, "POST /notes: %d", r);
	id = note_id(note);
	json_decref(note);
	if (expect_event(c, "insert", id) < 0)
		return -1;
	snprintf(path, sizeof path, "/notes/%lld", (long long)id);
	r = call(c, "PUT", path, note_with("changed"), NULL);
	EXPECT(r == 200, "PUT %s: %d", path, r);
	if (expect_event(c, "update", id) < 0)
		return -1;
	r = call(c, "GET", path, NULL, &changed);
	EXPECT(r == 200, "GET %s: %d", path, r);
	EXPECT(strcmp(json_string_value(json_object_get(changed, "text")), "changed") ==
		       0,
	       "%s was not changed", path);
	json_decref(changed);
	r = call(c, "DELETE", path, NULL, NULL);
	EXPECT(r == 204, "DELETE %s: %d", path, r);
	if (expect_event(c, "delete", id) < 0)
		return -1;
	r = call(c, "GET", path, NULL, NULL);
	EXPECT(r == 404, "GET %s after its end: %d", path, r);
	puts("a note was made, changed and deleted, and the feed told of it");
	return 0;
}

AN_SUSPENDS static int check_refusals(struct check *c)
{
	int r = call(c, "POST", "/notes", json_pack("{s:i}", "text", 7), NULL);

	EXPECT(r == 422, "a note that is a number: %d", r);
	r = call(c, "POST", "/notes", note_with(""), NULL);
	EXPECT(r == 422, "an empty note: %d", r);
	r = call(c, "GET", "/notes?limit=much", NULL, NULL);
	EXPECT(r == 400, "limit=much: %d", r);
	r = call(c, "GET", "/notes/none", NULL, NULL);
	EXPECT(r == 404, "/notes/none: %d", r);
	r = call(c, "PATCH", "/notes", NULL, NULL);
	EXPECT(r == 405, "PATCH /notes: %d", r);
	puts("what is not allowed was refused");
	return 0;
}

AN_SUSPENDS static int check_status(struct check *c)
{
	int r = call(c, "GET", "/healthz", NULL, NULL);

	EXPECT(r == 200, "/healthz: %d", r);
	r = call(c, "GET", "/metrics", NULL, NULL);
	EXPECT(r == 200, "/metrics: %d", r);
	puts("the service is healthy");
	return 0;
}

struct writer {
	struct check *check;
	int number;
};

static int write_note(void *arg)
{
	struct writer *w = arg;
	char text[64];
	int r;

	snprintf(text, sizeof text, "note %d of %d", w->number, NOTES);
	r = call(w->check, "POST", "/notes", note_with(text), NULL);
	EXPECT(r == 201, "POST /notes: %d", r);
	return 0;
}

AN_SUSPENDS static int write_many(struct check *c)
{
	static struct writer writers[NOTES];
	an_group group;
	int r;

	an_group_begin(&group);
	for (int i = 0; i < NOTES; i++) {
		writers[i] = (struct writer){ c, i + 1 };
		an_group_spawn(&group, write_note, &writers[i]);
	}
	r = an_group_end(&group);
	EXPECT(r == 0, "not all notes could be written");
	printf("%d notes were written, all at once\n", NOTES);
	return 0;
}

/* The digest of /export, read as a stream. */
AN_SUSPENDS static int digest_export(struct check *c)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	an_http_response *response;
	char buffer[16384], url[512];
	ssize_t n = -1;
	int r;

	snprintf(url, sizeof url, "%s/export", c->url);
	r = an_http_get(c->http, url, &response);
	if (r == 0 && md && EVP_DigestInit_ex(md, EVP_sha256(), NULL)) {
		while ((n = an_http_response_read(response, buffer, sizeof buffer)) > 0)
			EVP_DigestUpdate(md, buffer, (size_t)n);
		EVP_DigestFinal_ex(md, digest, NULL);
	}
	if (r == 0)
		an_http_response_free(response);
	EVP_MD_CTX_free(md);
	EXPECT(n == 0, "/export: %s", an_strerror(r < 0 ? r : (int)n));
	for (int i = 0; i < 32; i++)
		printf("%02x", digest[i]);
	putchar('\n');
	return 0;
}

static int run_checks(void *arg)
{
	struct check *c = arg;
	int r = check_status(c);

	if (r == 0)
		r = check_one_note(c);
	if (r == 0)
		r = check_refusals(c);
	if (r == 0)
		r = write_many(c);
	if (r == 0)
		r = digest_export(c);
	return r;
}

static int app(void *arg)
{
	struct check *c = arg;
	an_timeout limit;
	char feed[512], why[200] = "";
	int r;

	if (strncmp(c->feed_url, "http://", 7) != 0)
		return AN_ERR_URL;
	snprintf(feed, sizeof feed, "ws://%s/feed", c->feed_url + 7);
	an_timeout_begin(&limit, AN_MINUTE);
	r = an_http_client_new(NULL, &c->http);
	if (r == 0)
		r = an_ws_connect(feed,
				  &(an_ws_opts){ .error = why, .error_cap = sizeof why },
				  &c->feed);
	if (r < 0)
		fprintf(stderr, "notes_client: %s: %s %s\n", feed, an_strerror(r), why);
	else
		r = run_checks(c);
	if (c->feed)
		an_ignore(an_ws_shutdown(c->feed, 1000, NULL));
	an_ws_free(c->feed);
	an_http_client_free(c->http);
	return an_timeout_end(&limit, r);
}

int main(int argc, char **argv)
{
	struct check c = { 0 };

	if (argc != 2 && argc != 3) {
		fprintf(stderr, "usage: notes_client URL [FEED_URL]\n");
		return 2;
	}
	c.url = argv[1];
	c.feed_url = argv[argc - 1];
	return an_run(app, &c, NULL) < 0;
}
