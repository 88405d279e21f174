/* tour_io [--database CONNINFO]: a tour of I/O, the third chapter of asyncio's guides.
 *
 * To be read in this order; each file ends with the list of its sections:
 *
 *	tour_io_site.c      what they share: a folder for a while, a site to ask
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
#include <string.h>

static bool parse_options(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "--database"))
		tour_database = argv[2];
	return argc == 1 || tour_database;
}

int main(int argc, char **argv)
{
	if (!parse_options(argc, argv)) {
		fprintf(stderr, "usage: %s [--database CONNINFO]\n", argv[0]);
		return 2;
	}
	tour_hide_times();
	return tour_show((const struct tour_chapter[]){
		{ "Files", tour_io_files },
		{ "HTTP requests", tour_io_http },
		{ "Streams", tour_io_streams },
		{ "A database", tour_database ? tour_io_db : tour_io_no_db },
		{ "WebSocket", tour_io_ws },
		{ "Pipes and processes", tour_io_process },
		{ "A pipeline", tour_io_pipeline },
		{ "A log", tour_io_log },
		{ "Downloads", tour_io_download },
		{ 0 },
	});
}
