/* The feed: every change of a note, to every WebSocket at /feed of every instance.
 *
 * A change reaches PostgreSQL first; its trigger notifies all instances, each of which
 * reads the note and hands the event to its own subscribers. A subscriber has a queue of
 * 64 events; who falls behind further is closed with 1013 ("try again later") instead of
 * filling the memory.
 *
 * Events:  {"event":"insert","note":{...}}  "update" likewise  {"event":"delete","id":7}
 *          {"event":"reset"}   some may have been missed: read /notes again
 */
#include "service.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BACKLOG 64

/* One text for all subscribers; the last to drop it frees it. */
struct event {
	size_t users, length;
	char text[];
};

struct subscriber {
	struct subscriber *next, **link;
	an_queue events;
	an_ws *ws;
	bool too_slow;
};

static void event_drop(struct event *event)
{
	if (!--event->users)
		free(event);
}

/* ---- publishing -------------------------------------------------------------------- */

static void publish(struct service *service, json_t *json)
{
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	struct event *event = text ? malloc(sizeof *event + strlen(text)) : NULL;

	json_decref(json);
	if (event) {
		event->users = 1;
		event->length = strlen(text);
		memcpy(event->text, text, event->length);
		service->feed.events++;
		for (struct subscriber *s = service->feed.first; s; s = s->next) {
			if (an_queue_tryput(&s->events, event) == 0) {
				event->users++;
			} else if (!s->too_slow) {
				s->too_slow = true;
				service->feed.dropped++;
				an_queue_close(&s->events);
			}
		}
		event_drop(event);
	}
	free(text);
}

/* The payload is "insert 7", as the trigger writes it. */
AN_SUSPENDS static int publish_change(struct service *service, const char *payload)
{
	char operation[16];
	long long id;
	json_t *note;
	int r;

	if (sscanf(payload, "%15[a-z] %lld", operation, &id) != 2)
		return 0; /* somebody else's */
	if (strcmp(operation, "delete") == 0) {
		publish(service, json_pack("{s:s, s:I}", "event", operation, "id",
					   (json_int_t)id));
		return 0;
	}
	note = notes_fetch(service, id, &r);
	if (note)
		publish(service,
			json_pack("{s:s, s:o}", "event", operation, "note", note));
	else if (r < 0)
		publish(service, json_pack("{s:s}", "event", "reset"));
	return r == -ECANCELED ? r : 0;
}

int feed_listen(void *arg)
{
	static const char *const channels[] = { "notes", NULL };
	struct service *service = arg;
	an_pg_notification n;
	an_pg_listener *listener;
	an_pg_error error;
	int r = an_pg_listen(&(an_pg_conn_opts){ .conninfo = service->database },
			     channels, NULL, &error, &listener);

	if (r < 0) {
		if (r != -ECANCELED)
			an_error(service->log, "cannot listen for changes: %s",
				 error.message);
		return r;
	}
	while ((r = an_pg_listener_next(listener, &n)) == 0) {
		if (n.gap)
			publish(service, json_pack("{s:s}", "event", "reset"));
		else
			r = publish_change(service, n.payload);
		if (r < 0)
			break;
	}
	an_pg_listener_close(listener);
	return r;
}

/* ---- subscribers ------------------------------------------------------------------- */

static void subscribe(struct feed *feed, struct subscriber *s)
{
	an_queue_init(&s->events, BACKLOG);
	s->link = &feed->first;
	s->next = feed->first;
	if (s->next)
		s->next->link = &s->next;
	feed->first = s;
	feed->count++;
}

static void unsubscribe(struct feed *feed, struct subscriber *s)
{
	void *event;

	*s->link = s->next;
	if (s->next)
		s->next->link = s->link;
	feed->count--;
	while (an_queue_tryget(&s->events, &event) == 0)
		event_drop(event);
	an_queue_done(&s->events);
}

/* Answers pings and notices the end; what a subscriber says is not used. */
static int receive(void *arg)
{
	struct subscriber *s = arg;
	an_ws_message message;

	while (an_ws_recv(s->ws, &message) == 0)
		;
	an_queue_close(&s->events);
	return 0;
}

AN_SUSPENDS static int send_events(struct subscriber *s)
{
	void *item;
	int r;

	while (!s->too_slow && (r = an_queue_get(&s->events, &item)) == 0) {
		struct event *event = item;

		r = an_ws_send(s->ws, AN_WS_TEXT, event->text, event->length);
		event_drop(event);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Says goodbye, also when the server is draining and this task is cancelled. */
static void close_politely(struct service *service, struct subscriber *s)
{
	an_shield shield;
	unsigned code = s->too_slow ? 1013 : 1000;

	if (an_http_server_draining(service->server))
		code = 1001;
	an_shield_begin(&shield, 5 * AN_SECOND);
	an_ignore(an_shield_end(&shield, an_ws_shutdown(s->ws, code, NULL)));
	an_ws_free(s->ws);
}

static int watch_feed(an_http_exchange *x, void *arg)
{
	struct service *service = arg;
	struct subscriber s = { .too_slow = false };
	an_group group;
	int r;

	/* First, so that what changes while the handshake is answered is not missed. */
	subscribe(&service->feed, &s);
	r = an_ws_accept(x, NULL, &s.ws);
	if (r < 0) {
		unsubscribe(&service->feed, &s);
		return r == AN_ERR_WS_HANDSHAKE ? 0 : r; /* refused: answered already */
	}
	an_group_begin(&group);
	r = an_group_spawn(&group, receive, &s);
	if (r == 0)
		r = send_events(&s);
	an_group_cancel(&group);
	an_ignore(an_group_end(&group));
	unsubscribe(&service->feed, &s);
	close_politely(service, &s);
	return r;
}

int feed_add_routes(struct service *service)
{
	return an_http_route(service->server, "GET", "/feed", watch_feed, service);
}
