/* What the chapters of tour_io share: a folder that goes away again, and a site to ask.
 * Both are worth copying: each undoes on every way out what it has made. */
#ifndef EXAMPLES_TOUR_IO_H
#define EXAMPLES_TOUR_IO_H

#include "tour.h"

/* async with aiofiles.tempfile.TemporaryDirectory() as folder: makes a folder, calls
 * work(folder), and removes the folder with all that is in it. Suspends. Returns what
 * went wrong first. */
AN_SUSPENDS int tour_in_a_folder(int (*work)(const char *folder));

#define TOUR_PATH 512

/* Writes "folder/name" to `buf`, and returns it. */
const char *tour_path(char buf[static TOUR_PATH], const char *folder, const char *name);

/* Serves on a port of 127.0.0.1 in a task of its own while visit(url, arg) runs here;
 * `url` is "http://127.0.0.1:PORT". Suspends. Returns what went wrong first. */
AN_SUSPENDS int tour_visit(an_http_server *server,
			   int (*visit)(const char *url, void *arg), void *arg);

/* A connection string of libpq's, from --database; NULL without it. */
extern const char *tour_database;

#endif
