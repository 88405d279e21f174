/* A notes service: REST over a PostgreSQL pool, a live page, a WebSocket feed.
 *
 *	examples/microservice [--listen HOST:PORT] [--database CONNINFO] [--pool N]
 *
 * Prints one line "listening on HOST:PORT" when it is ready. SIGTERM or SIGINT: accepts
 * no more, finishes what it has accepted, says goodbye to WebSockets, and exits with 0;
 * while it is starting it ends at once. A second one cuts the rest short, and it exits
 * with 1.
 */
#include "service.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POOL_MAX 1000

struct options {
	char host[256], port[16];
	const char *database;
	unsigned pool;
};

struct run {
	struct service service;
	const struct options *options;
	an_listener *listener;
	an_signal_watch *signals;
	bool serving;
	an_group group;
};

static void log_access(const an_http_access *a, void *arg)
{
	struct service *service = arg;

	an_info(service->log, "%s \"%s %s\" %d %llu %lldus", a->peer, a->method,
		a->target, a->status, (unsigned long long)a->sent,
		(long long)(a->took / AN_MICROSECOND));
}

/* ---- the tasks --------------------------------------------------------------------- */

static int wait_for_the_end(void *arg)
{
	struct run *run = arg;
	int signal = an_signal_wait(run->signals);

	if (signal < 0)
		return signal;
	if (!run->serving) {
		an_info(run->service.log, "%s while starting", strsignal(signal));
		an_group_cancel(&run->group);
		return 0;
	}
	an_info(run->service.log, "%s: draining", strsignal(signal));
	an_http_server_shutdown(run->service.server);
	signal = an_signal_wait(run->signals);
	if (signal < 0)
		return signal;
	an_warn(run->service.log, "%s: the rest is cut short", strsignal(signal));
	an_group_fail(&run->group, -ECANCELED);
	return 0;
}

/* The address is told when a client can use it. */
AN_SUSPENDS static int serve(struct run *run)
{
	an_listener *listener = run->listener;
	char address[256];
	int r = an_listener_address(listener, address, sizeof address);

	if (r < 0)
		return r;
	r = an_group_spawn_with(&run->group, feed_listen, &run->service,
				&(an_task_opts){ .name = "feed" });
	if (r < 0)
		return r;
	printf("listening on %s\n", address);
	fflush(stdout);
	run->serving = true;
	run->listener = NULL; /* the server's from here on */
	return an_http_serve(run->service.server, listener);
}

/* ---- start and end ----------------------------------------------------------------- */

static int start(struct run *run)
{
	struct service *service = &run->service;
	int r = an_pg_pool_new(
		&(an_pg_pool_opts){ .conn.conninfo = run->options->database,
				    .max_size = run->options->pool },
		&service->pool);

	an_semaphore_init(&service->exports, (run->options->pool + 1) / 2, 0);
	if (r == 0)
		r = notes_create_schema(service);
	if (r == -ECANCELED)
		return r;
	if (r < 0) {
		an_error(service->log, "the database is not usable: %s",
			 service->pool && *an_pg_pool_error(service->pool)->message
				 ? an_pg_pool_error(service->pool)->message
				 : an_strerror(r));
		return r;
	}
	r = an_http_server_new(
		&(an_http_server_opts){ .access_log = log_access, .access_arg = service },
		&service->server);
	if (r == 0)
		r = notes_add_routes(service);
	if (r == 0)
		r = feed_add_routes(service);
	if (r == 0)
		r = status_add_routes(service);
	if (r == 0)
		r = an_listen(run->options->host, run->options->port, NULL,
			      &run->listener);
	if (r < 0)
		an_error(service->log, "cannot serve on %s:%s: %s", run->options->host,
			 run->options->port, an_strerror(r));
	return r;
}

static void stop(struct run *run)
{
	struct service *service = &run->service;
	an_shield shield;

	an_listener_close(run->listener);
	an_http_server_free(service->server);
	an_shield_begin(&shield, 10 * AN_SECOND);
	if (service->pool)
		an_ignore(an_pg_pool_shutdown(service->pool));
	an_pg_pool_free(service->pool);
	an_signal_watch_close(run->signals);
	an_info(service->log, "done");
	an_ignore(an_shield_end(&shield, an_log_stop(service->log)));
}

static int live(void *arg)
{
	struct run *run = arg;
	int r = start(run);

	if (r == 0)
		r = serve(run);
	an_group_cancel(&run->group); /* drained: the rest can go */
	return r;
}

static int app(void *arg)
{
	static const int signals[] = { SIGTERM, SIGINT, 0 };
	struct run *run = arg;
	int r = an_signal_watch_new(signals, &run->signals);

	if (r < 0)
		return r;
	an_group_begin(&run->group);
	if (an_group_spawn_with(&run->group, wait_for_the_end, run,
				&(an_task_opts){ .name = "signals" }) < 0 ||
	    an_group_spawn_with(&run->group, live, run,
				&(an_task_opts){ .name = "serve" }) < 0)
		an_group_fail(&run->group, -ENOMEM);
	r = an_group_end(&run->group);
	stop(run);
	return r;
}

static bool parse_listen(char *text, struct options *o)
{
	char *colon = strrchr(text, ':');
	size_t length = colon ? (size_t)(colon - text) : 0;

	if (!colon || !colon[1])
		return false;
	if (length > 2 && text[0] == '[' && text[length - 1] == ']') {
		text++;
		length -= 2;
	}
	return snprintf(o->host, sizeof o->host, "%.*s", (int)length, text) <
		       (int)sizeof o->host &&
	       snprintf(o->port, sizeof o->port, "%s", colon + 1) < (int)sizeof o->port;
}

static bool parse_pool(const char *text, struct options *o)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*text < '1' || *text > '9' || *end || value > POOL_MAX)
		return false;
	o->pool = (unsigned)value;
	return true;
}

static bool parse_options(int argc, char **argv, struct options *o)
{
	static const struct option known[] = {
		{ "listen", required_argument, NULL, 'l' },
		{ "database", required_argument, NULL, 'd' },
		{ "pool", required_argument, NULL, 'p' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (c == 'l' && !parse_listen(optarg, o))
			return false;
		else if (c == 'd')
			o->database = optarg;
		else if ((c == 'p' && !parse_pool(optarg, o)) || c == '?')
			return false;
	}
	return optind == argc;
}

int main(int argc, char **argv)
{
	struct options options = { .host = "127.0.0.1", .port = "8080", .pool = 8 };
	struct run run = { .options = &options };
	int r;

	if (!parse_options(argc, argv, &options)) {
		fprintf(stderr, "usage: microservice [--listen HOST:PORT] [--database "
				"CONNINFO] [--pool N]\n");
		return 2;
	}
	run.service.database = options.database;
	r = an_log_new(NULL, &run.service.log);
	if (r == 0) {
		an_log_install_trace(run.service.log);
		r = an_run(app, &run, NULL);
		an_log_free(run.service.log);
	}
	if (r < 0)
		fprintf(stderr, "microservice: %s\n", an_strerror(r));
	return r < 0;
}
