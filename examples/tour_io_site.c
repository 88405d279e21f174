/* What the chapters of tour_io share: a folder that goes away again, and a site in this
 * very process. See tour_io.h.
 */
#include "tour_io.h"

#include <stdio.h>
#include <stdlib.h>

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
