/* The notes service: what its files share.
 *
 *	main.c     options, start, routes, graceful end
 *	notes.c    REST: JSON over the pool
 *	feed.c     the WebSocket feed, driven by LISTEN/NOTIFY, so that instances agree
 *	status.c   /healthz, /metrics and the page
 */
#ifndef EXAMPLES_NOTES_SERVICE_H
#define EXAMPLES_NOTES_SERVICE_H

#include <asyncnet/asyncnet.h>
#include <asyncnet/http.h>
#include <asyncnet/log.h>
#include <asyncnet/pg.h>
#include <asyncnet/ws.h>
#include <jansson.h>

/* No request waits longer than this for the database. */
#define DATABASE_LIMIT (5 * AN_SECOND)

struct subscriber;

/* All who watch the feed. */
struct feed {
	struct subscriber *first;
	size_t count;
	uint64_t events;  /* published */
	uint64_t dropped; /* subscribers that were too slow */
};

struct service {
	const char *database; /* connection string */
	an_pg_pool *pool;
	an_semaphore exports; /* how many more may run */
	an_http_server *server;
	an_logger *log;
	struct feed feed;
};

/* ---- notes.c ----------------------------------------------------------------------- */

/* Makes the table and its trigger where they are missing. Suspends. */
AN_SUSPENDS int notes_create_schema(struct service *service);

/* Adds /notes, /notes/{id} and /export. Returns 0 or an error of an_http_route(). */
int notes_add_routes(struct service *service);

/* The note as JSON, or NULL: *ret_result tells why (0: there is none). Suspends. */
json_t *notes_fetch(struct service *service, int64_t id, int *ret_result);

/* ---- feed.c ------------------------------------------------------------------------ */

int feed_add_routes(struct service *service);

/* A task: listens for changes in the database and publishes them, until it is
 * cancelled. */
int feed_listen(void *service);

/* ---- status.c ---------------------------------------------------------------------- */

int status_add_routes(struct service *service);

#endif
