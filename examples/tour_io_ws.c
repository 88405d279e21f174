/* The fifth chapter of tour_io: WebSocket, both ends of it. aiohttp and websockets have
 * `async for message in ws`; here that is a loop around an_ws_recv().
 */
#include "tour_io.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "http://host:port" to "ws://host:port/path" */
static const char *ws_url(char buf[static 128], const char *site, const char *path)
{
	snprintf(buf, 128, "ws%s%s", site + strlen("http"), path);
	return buf;
}

/* ---- an echo ----------------------------------------------------------------------- */

/* The server's end. The handshake is an HTTP request like others; from then on the
 * connection is a WebSocket, and the handler returns when it is over. */
static int echo(an_http_exchange *x, void *arg)
{
	an_ws_message m;
	an_ws *ws;
	int r = an_ws_accept(x, NULL, &ws);

	(void)arg;
	if (r)
		return r;
	while (!(r = an_ws_recv(ws, &m)) && !(r = an_ws_send(ws, m.kind, m.data, m.len)))
		;
	if (r == AN_ERR_CLOSED)
		tour_say("server: closed with %u, %s", an_ws_close_code(ws),
			 an_ws_close_reason(ws));
	an_ignore(an_ws_shutdown(ws, 1000, NULL));
	an_ws_free(ws);
	return 0;
}

/* What was received is lent until the next an_ws_recv(). */
static int say_echo(an_ws *ws, an_ws_kind kind, const char *text)
{
	an_ws_message m;
	int r = an_ws_send(ws, kind, text, strlen(text));

	if (!r)
		r = an_ws_recv(ws, &m);
	if (!r)
		tour_say("client: %s %.*s", m.kind == AN_WS_TEXT ? "text" : "binary",
			 (int)m.len, (const char *)m.data);
	return r;
}

/* async with session.ws_connect(url) as ws. The server's line is the first of the two at
 * the end, since the shutdown waits for its Close. */
static int visit_echo(const char *site, void *arg)
{
	char url[128];
	an_ws *ws;
	int r = an_ws_connect(ws_url(url, site, "/echo"), NULL, &ws);

	(void)arg;
	if (r)
		return r;
	r = say_echo(ws, AN_WS_TEXT, "hello");
	if (!r)
		r = say_echo(ws, AN_WS_BINARY, "12345");
	if (!r)
		r = an_ws_shutdown(ws, 1000, "that was all");
	tour_say("client: goodbye: %s", tour_code(r));
	an_ws_free(ws);
	return r;
}

static int there_and_back(void *arg)
{
	an_http_server *server;
	int r = an_http_server_new(NULL, &server);

	(void)arg;
	if (r)
		return r;
	r = an_http_route(server, "GET", "/echo", echo, NULL);
	if (!r)
		r = tour_visit(server, visit_echo, NULL);
	an_http_server_free(server);
	return r;
}

/* ---- a room ------------------------------------------------------------------------ */

enum { BACKLOG = 16 };

/* Whoever speaks must not wait for the slowest listener. So nobody sends to another one's
 * connection: each member has a queue, and a task of its own that sends what is in it. */
struct member {
	struct member *next;
	char name[16];
	an_ws *ws;
	an_queue out; /* strings, to be freed by whoever takes them */
};

struct room {
	an_http_server *server;
	struct member *members;
};

static void drop(void *arg, void *text)
{
	(void)arg;
	free(text);
}

/* Never suspends, so that no member comes or goes meanwhile. A member who has not taken
 * BACKLOG messages misses this one; a member without memory, too. */
static void tell_all(struct room *room, const char *who, const char *what, size_t len)
{
	for (struct member *m = room->members; m; m = m->next) {
		char *text;

		if (asprintf(&text, "%s: %.*s", who, (int)len, what) < 0)
			continue;
		if (an_queue_tryput(&m->out, text))
			free(text);
	}
}

static void join(struct room *room, struct member *member)
{
	member->next = room->members;
	room->members = member;
	tell_all(room, member->name, "joins", 5);
}

static void leave(struct room *room, struct member *member)
{
	struct member **at = &room->members;

	while (*at != member)
		at = &(*at)->next;
	*at = member->next;
	tell_all(room, member->name, "leaves", 6);
}

static int send_all(void *arg)
{
	struct member *member = arg;
	void *text;
	int r;

	while (!(r = an_queue_get(&member->out, &text))) {
		r = an_ws_send(member->ws, AN_WS_TEXT, text, strlen(text));
		free(text);
		if (r)
			break;
	}
	return r;
}

static int receive_all(struct room *room, struct member *member)
{
	an_ws_message m;
	int r;

	while (!(r = an_ws_recv(member->ws, &m)))
		tell_all(room, member->name, m.data, m.len);
	return r;
}

/* A member's two tasks end together: when the one that receives does, or either fails. */
static int take_part(struct room *room, struct member *member)
{
	an_group group;
	int r;

	join(room, member);
	an_group_begin(&group);
	r = an_group_spawn(&group, send_all, member);
	if (!r)
		r = receive_all(room, member);
	an_group_fail(&group, r);
	r = an_group_end(&group);
	leave(room, member);
	return r;
}

static int enter(an_http_exchange *x, void *arg)
{
	struct room *room = arg;
	struct member member = { .next = NULL };
	int r = (int)an_http_query_get(an_http_query(x), "name", member.name,
				       sizeof(member.name));

	if (r < 0)
		return 400;
	r = an_ws_accept(x, NULL, &member.ws);
	if (r)
		return r;
	an_queue_init(&member.out, BACKLOG);
	r = take_part(room, &member);
	an_queue_close_now(&member.out, drop, NULL);
	an_queue_done(&member.out);
	if (r == AN_ERR_CLOSED)
		an_ignore(an_ws_shutdown(member.ws, 1000, NULL));
	an_ws_free(member.ws); /* a server that ends says 1001 here: going away */
	return 0;
}

/* ---- the guests of the room -------------------------------------------------------- */

enum { GUESTS = 3 };

static const char *const names[GUESTS] = { "Ann", "Bob", "Cem" };

static int hear(an_ws *ws, const char *who)
{
	an_ws_message m;
	int r = an_ws_recv(ws, &m);

	if (!r)
		tour_say("%s hears %.*s", who, (int)m.len, (const char *)m.data);
	return r;
}

/* Each hears that it has joined, and those who were there before hear it, too. */
static int all_hear(an_ws **guests, int count)
{
	int r = 0;

	for (int i = 0; i < count && !r; i++)
		r = hear(guests[i], names[i]);
	return r;
}

static int come_and_talk(const char *site, an_ws **guests)
{
	char path[64], url[128];
	int r = 0;

	for (int i = 0; i < GUESTS && !r; i++) {
		snprintf(path, sizeof(path), "/room?name=%s", names[i]);
		r = an_ws_connect(ws_url(url, site, path), NULL, &guests[i]);
		if (!r)
			r = all_hear(guests, i + 1);
	}
	if (!r)
		r = an_ws_send(guests[0], AN_WS_TEXT, "good evening", 12);
	if (!r)
		r = all_hear(guests, GUESTS);
	if (!r)
		r = an_ws_shutdown(guests[2], 1000, NULL);
	return r ? r : all_hear(guests, GUESTS - 1);
}

/* The server ends while two are in the room. */
static int say_goodbye(an_ws *ws, const char *who)
{
	an_ws_message m;
	int r;

	do
		r = an_ws_recv(ws, &m);
	while (!r);
	if (r != AN_ERR_CLOSED)
		return r;
	tour_say("%s: closed with %u", who, an_ws_close_code(ws));
	return 0;
}

static int visit_room(const char *site, void *arg)
{
	struct room *room = arg;
	an_ws *guests[GUESTS] = { NULL };
	int r = come_and_talk(site, guests);

	an_http_server_shutdown(room->server);
	for (int i = 0; i < GUESTS - 1 && !r; i++)
		r = say_goodbye(guests[i], names[i]);
	for (int i = 0; i < GUESTS; i++)
		an_ws_free(guests[i]);
	return r;
}

static int a_room(void *arg)
{
	struct room room = { .members = NULL };
	int r = an_http_server_new(NULL, &room.server);

	(void)arg;
	if (r)
		return r;
	r = an_http_route(room.server, "GET", "/room", enter, &room);
	if (!r)
		r = tour_visit(room.server, visit_room, &room);
	an_http_server_free(room.server);
	return r;
}

const struct tour_section tour_io_ws[] = {
	{ "There and back", .task = there_and_back },
	{ "A room, and a server that ends", .task = a_room },
	{ 0 },
};
