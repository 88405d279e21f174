/* tour_io [--database CONNINFO]: a tour of I/O, the third chapter of asyncio's guides.
 *
 * To be read in this order; each file ends with the list of its sections:
 *
 *	tour_io_files.c     files: whole, by lines, at once, folders, errors     aiofiles
 *	tour_io_http.c      requests: one, several, limits, another attempt      aiohttp
 *	tour_io_streams.c   connections, lines, a large file, a generator        streams
 *	tour_io_db.c        PostgreSQL: a pool, transactions, notifications      asyncpg
 *	tour_io_ws.c        WebSocket: an echo, a room, a goodbye              websockets
 *	tour_io_process.c   pipes and child processes                      subprocesses
 *	tour_io_pipeline.c  stages that hand items to each other                 queues
 *	tour_io_log.c       a log that stops no task                       QueueHandler
 *	tour_io_download.c  several files at once, to the disk, resumed
 *
 * It starts the servers that it asks by itself, on free ports of 127.0.0.1; only the
 * chapter on databases needs a PostgreSQL, in which it makes a table libasyncnet_tour and
 * drops it again.
 *
 * All I/O is real, so that no line has a time: it would be another one each time. The
 * order of the lines is certain all the same, since each is printed only when the one
 * before must have been.
 */
#include "tour_io.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *tour_database;

/* ---- a folder that goes away again ------------------------------------------------- */

int tour_in_a_folder(int (*work)(const char *folder))
{
	an_shield shield;
	char *folder;
	int removed, r = an_temp_folder(NULL, "tour-", &folder);

	if (r)
		return r;
	r = work(folder);
	/* Also when this task is cancelled: for so long the shield hides that. */
	an_shield_begin(&shield, 10 * AN_SECOND);
	removed = an_shield_end(&shield, an_path_remove_all(folder));
	free(folder);
	return r ? r : removed;
}

const char *tour_path(char buf[static TOUR_PATH], const char *folder, const char *name)
{
	snprintf(buf, TOUR_PATH, "%s/%s", folder, name);
	return buf;
}

/* ---- a site in this very process --------------------------------------------------- */

struct site {
	an_http_server *server;
	an_listener *listener;
};

static int serve(void *arg)
{
	struct site *site = arg;
	an_listener *listener = site->listener;

	site->listener = NULL; /* the server's from here on */
	return an_http_serve(site->server, listener);
}

int tour_visit(an_http_server *server, int (*visit)(const char *url, void *arg),
	       void *arg)
{
	struct site site = { .server = server };
	char url[64];
	an_group group;
	int r = an_listen("127.0.0.1", "0", NULL, &site.listener);

	if (r)
		return r;
	snprintf(url, sizeof(url), "http://127.0.0.1:%u",
		 an_listener_port(site.listener));
	an_group_begin(&group);
	r = an_group_spawn(&group, serve, &site);
	if (!r)
		r = visit(url, arg);
	an_group_fail(&group, r);	 /* has the server cancelled, or */
	an_http_server_shutdown(server); /* finish what it is at */
	r = an_group_end(&group);
	an_listener_close(site.listener); /* if serve() has never run */
	return r;
}

/* ---- the tour ---------------------------------------------------------------------- */

int main(int argc, char **argv)
{
	struct tour_chapter chapters[] = {
		{ "Files", tour_io_files },
		{ "HTTP requests", tour_io_http },
		{ "Streams", tour_io_streams },
		{ "A database", tour_io_no_db },
		{ "WebSocket", tour_io_ws },
		{ "Pipes and processes", tour_io_process },
		{ "A pipeline", tour_io_pipeline },
		{ "A log", tour_io_log },
		{ "Downloads", tour_io_download },
		{ 0 },
	};

	if (argc == 3 && !strcmp(argv[1], "--database")) {
		tour_database = argv[2];
		chapters[3].sections = tour_io_db;
	} else if (argc != 1) {
		fprintf(stderr, "usage: %s [--database CONNINFO]\n", argv[0]);
		return 2;
	}
	tour_hide_times();
	return tour_show(chapters);
}
