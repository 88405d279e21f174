/* The second chapter of tour_io: HTTP requests, to a site that runs in this very process.
 *
 * aiohttp's ClientSession is an an_http_client: it keeps connections and lends them to
 * requests. An answer is a head that has arrived, and a body that is read as it comes.
 */
#include "tour_io.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- the site ---------------------------------------------------------------------- */

struct site {
	an_barrier together; /* the guests of /together */
	unsigned inside, inside_at_most;
	unsigned attempts; /* at /moody */
};

static int item(an_http_exchange *x, void *arg)
{
	static const an_http_header json[] = { { "content-type", "application/json" },
					       { NULL, NULL } };
	const char *id = an_http_param(x, "id");
	char body[64];
	int len;

	(void)arg;
	if (strlen(id) > 3)
		return 404; /* with a short text */
	len = snprintf(body, sizeof(body), "{\"id\":%s,\"price\":%s0}", id, id);
	return an_http_respond(x, 200, json, body, (size_t)len);
}

static int echo(an_http_exchange *x, void *arg)
{
	const char *body;
	size_t len;
	int r = an_http_body_read_all(x, &body, &len);

	(void)arg;
	return r ? r : an_http_respond(x, 201, NULL, body, len);
}

/* Answers nobody before as many have come as the barrier has places: requests that came
 * one after the other would wait here for ever. */
static int together(an_http_exchange *x, void *arg)
{
	struct site *site = arg;
	const char *name = an_http_param(x, "name");
	int r;

	if (++site->inside > site->inside_at_most)
		site->inside_at_most = site->inside;
	r = an_barrier_wait(&site->together, NULL);
	site->inside--;
	return r < 0 ? r : an_http_respond(x, 200, NULL, name, strlen(name));
}

static int never(an_http_exchange *x, void *arg)
{
	(void)x, (void)arg;
	return an_sleep(AN_FOREVER);
}

static int moody(an_http_exchange *x, void *arg)
{
	struct site *site = arg;

	if (++site->attempts < 3)
		return 503;
	return an_http_respond(x, 200, NULL, "well", 4);
}

static int add_routes(an_http_server *server, struct site *site)
{
	int r = an_http_route(server, "GET", "/items/{id}", item, NULL);

	if (!r)
		r = an_http_route(server, "POST", "/echo", echo, NULL);
	if (!r)
		r = an_http_route(server, "GET", "/together/{name}", together, site);
	if (!r)
		r = an_http_route(server, "GET", "/never", never, NULL);
	if (!r)
		r = an_http_route(server, "GET", "/moody", moody, site);
	return r;
}

/* Requests that nobody waits for any more must not hold up the end of /never. */
static int visit_site(int (*visit)(const char *url, void *site), size_t places)
{
	struct site site = { .inside = 0 };
	an_http_server *server;
	int r = an_http_server_new(
		&(an_http_server_opts){ .drain_timeout = AN_MILLISECOND }, &server);

	if (r)
		return r;
	an_barrier_init(&site.together, places);
	r = add_routes(server, &site);
	if (!r)
		r = tour_visit(server, visit, &site);
	an_http_server_free(server);
	return r;
}

/* ---- one request ------------------------------------------------------------------- */

/* async with session.get(url) as response: await response.text() */
static int get(an_http_client *client, const char *site, const char *path)
{
	an_http_response *response;
	char url[256];
	const char *body;
	size_t len;
	int r;

	snprintf(url, sizeof(url), "%s%s", site, path);
	r = an_http_get(client, url, &response);
	if (r)
		return r;
	r = an_http_response_read_all(response, 0, &body, &len);
	if (!r)
		tour_say("GET %s: %d, %zu bytes: %.*s", path,
			 an_http_response_status(response), len, (int)strcspn(body, "\n"),
			 body);
	an_http_response_free(response);
	return r;
}

static int post(an_http_client *client, const char *site, const char *text)
{
	an_http_response *response;
	char url[256];
	const char *body;
	size_t len;
	int r;

	snprintf(url, sizeof(url), "%s/echo", site);
	r = an_http_send(
		client,
		&(an_http_request){
			.url = url,
			.headers = (an_http_header[]){ { "content-type", "text/plain" },
						       { NULL, NULL } },
			.body = text,
			.body_len = strlen(text),
		},
		&response);
	if (r)
		return r;
	r = an_http_response_read_all(response, 0, &body, &len);
	if (!r)
		tour_say("POST: %d: %s", an_http_response_status(response), body);
	an_http_response_free(response);
	return r;
}

/* A status of 400 and above is an answer, not an error. All four go over one
 * connection. */
static int visit_one_by_one(const char *url, void *site)
{
	an_http_client_stats stats;
	an_http_client *client;
	int r = an_http_client_new(NULL, &client);

	(void)site;
	if (r)
		return r;
	r = get(client, url, "/items/7");
	if (!r)
		r = post(client, url, "something new");
	if (!r)
		r = get(client, url, "/items/7777");
	if (!r)
		r = get(client, url, "/nowhere");
	an_http_client_get_stats(client, &stats);
	tour_say("requests: %d, connections: %d", (int)stats.requests,
		 (int)stats.connects);
	an_http_client_free(client);
	return r;
}

static int one_after_the_other(void *arg)
{
	(void)arg;
	return visit_site(visit_one_by_one, 1);
}

/* ---- several at once --------------------------------------------------------------- */

struct page {
	an_http_client *client;
	char url[256];
	char text[16];
};

static int fetch(void *arg)
{
	struct page *page = arg;
	an_http_response *response;
	const char *body;
	size_t len;
	int r = an_http_get(page->client, page->url, &response);

	if (r)
		return r;
	r = an_http_response_read_all(response, sizeof(page->text) - 1, &body, &len);
	if (!r)
		memcpy(page->text, body, len + 1); /* it is the response's */
	an_http_response_free(response);
	return r;
}

enum { PAGES = 6 };

/* await asyncio.gather(*(fetch(url) for url in urls)): the answers are in the order of
 * the questions, whichever came first. */
static int fetch_all(an_http_client *client, const char *site, struct page *pages)
{
	an_group group;

	an_group_begin(&group);
	for (int i = 0; i < PAGES; i++) {
		pages[i] = (struct page){ .client = client };
		snprintf(pages[i].url, sizeof(pages[i].url), "%s/together/%c", site,
			 'a' + i);
		an_group_fail(&group, an_group_spawn(&group, fetch, &pages[i]));
	}
	return an_group_end(&group);
}

/* aiohttp.TCPConnector(limit_per_host=N) is max_per_host: any number of tasks may ask,
 * and the rest of them wait for their turn. */
static int visit_together(const char *url, struct site *site, size_t at_once)
{
	struct page pages[PAGES];
	an_http_client *client;
	int r = an_http_client_new(&(an_http_client_opts){ .max_per_host = at_once },
				   &client);

	if (r)
		return r;
	r = fetch_all(client, url, pages);
	if (!r)
		tour_say("%s %s %s %s %s %s; at once: %u", pages[0].text, pages[1].text,
			 pages[2].text, pages[3].text, pages[4].text, pages[5].text,
			 site->inside_at_most);
	an_http_client_free(client);
	return r;
}

static int visit_all_at_once(const char *url, void *site)
{
	return visit_together(url, site, PAGES);
}

static int six_at_once(void *arg)
{
	(void)arg;
	return visit_site(visit_all_at_once, PAGES);
}

static int visit_two_at_once(const char *url, void *site)
{
	return visit_together(url, site, 2);
}

static int two_at_once(void *arg)
{
	(void)arg;
	return visit_site(visit_two_at_once, 2);
}

/* ---- what goes wrong --------------------------------------------------------------- */

static void say_failure(an_http_client *client, int r)
{
	const an_http_error *error = an_http_client_error(client);

	tour_say("%s, %s: %s", tour_code(r), an_http_phase_name(error->phase),
		 error->text);
}

/* aiohttp.ClientTimeout has a limit for each phase; so has the client here. One for all
 * that a task does is a scope around it, as asyncio.timeout() is. */
static int visit_in_vain(const char *url, void *site)
{
	an_http_client *client;
	an_timeout limit;
	int r = an_http_client_new(
		&(an_http_client_opts){ .first_byte_timeout = 30 * AN_MILLISECOND },
		&client);

	(void)site;
	if (r)
		return r;
	r = get(client, url, "/never");
	if (r == -ETIMEDOUT)
		say_failure(client, r);
	an_timeout_begin(&limit, 10 * AN_MILLISECOND);
	r = get(client, url, "/never");
	r = an_timeout_end(&limit, r);
	tour_say("with a limit of my own: %s", tour_code(r));
	an_http_client_free(client);
	return r == -ETIMEDOUT ? 0 : r;
}

static int limits_on_time(void *arg)
{
	(void)arg;
	return visit_site(visit_in_vain, 1);
}

/* The status of one attempt, or what it failed with. */
static int attempt(an_http_client *client, const char *url)
{
	an_http_response *response;
	int status, r = an_http_get(client, url, &response);

	if (r)
		return r;
	status = an_http_response_status(response);
	an_http_response_free(response);
	return status;
}

/* The pause is doubled each time, so that a site in trouble is left in peace; and the
 * loop ends, in success or not. */
static int visit_again_and_again(const char *site, void *arg)
{
	an_duration pause = 5 * AN_MILLISECOND;
	an_http_client *client;
	char url[256];
	int status = 0, r = an_http_client_new(NULL, &client);

	(void)arg;
	if (r)
		return r;
	snprintf(url, sizeof(url), "%s/moody", site);
	for (int i = 1; i <= 5 && !r && status != 200; i++, pause *= 2) {
		status = attempt(client, url);
		tour_say("attempt %d: %d %s", i, status, an_http_status_text(status));
		if (status < 0)
			r = status;
		else if (status != 200)
			r = an_sleep(pause);
	}
	an_http_client_free(client);
	return r;
}

static int another_attempt(void *arg)
{
	(void)arg;
	return visit_site(visit_again_and_again, 1);
}

/* What can be told without the network is told at once. */
static int requests_that_cannot_be(void *arg)
{
	static const char *const urls[] = { "gopher://example.org/",
					    "http://user:secret@example.org/",
					    "http://[::1/" };
	an_http_response *response;
	an_http_client *client;
	int r = an_http_client_new(NULL, &client);

	(void)arg;
	if (r)
		return r;
	for (size_t i = 0; i < 3; i++) {
		r = an_http_get(client, urls[i], &response);
		if (r == -ECANCELED)
			break;
		if (r)
			say_failure(client, r);
		else
			an_http_response_free(response);
	}
	an_http_client_free(client);
	return r == -ECANCELED ? r : 0;
}

const struct tour_section tour_io_http[] = {
	{ "One request after the other", .task = one_after_the_other },
	{ "Six at once", .task = six_at_once },
	{ "Six, but two at once", .task = two_at_once },
	{ "Limits on time", .task = limits_on_time },
	{ "Another attempt, and a pause before it", .task = another_attempt },
	{ "Requests that cannot be", .task = requests_that_cannot_be },
	{ 0 },
};
