/* What operators and browsers look at: /healthz, /metrics (the Prometheus text format)
 * and the page that shows the notes live.
 */
#include "service.h"

#include "page.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const an_http_header plain[] = { { "content-type", "text/plain; charset=utf-8" },
					{ "cache-control", "no-store" },
					{ NULL, NULL } };

/* Healthy is who can reach the database within a second. */
static int healthz(an_http_exchange *x, void *arg)
{
	struct service *service = arg;
	an_timeout limit;
	int r;

	if (an_http_server_draining(service->server))
		return an_http_respond(x, 503, plain, "draining\n", 9);
	an_timeout_begin(&limit, AN_SECOND);
	r = an_pg_pool_query(service->pool, "select 1", NULL, NULL);
	r = an_timeout_end(&limit, r);
	if (r < 0)
		return an_http_respond(x, 503, plain, "no database\n", 12);
	return an_http_respond(x, 200, plain, "ok\n", 3);
}

struct text {
	char bytes[8192];
	size_t length;
};

static void gauge(struct text *t, const char *name, const char *kind, uint64_t value)
{
	size_t room = sizeof t->bytes - t->length;
	int n = snprintf(t->bytes + t->length, room,
			 "# TYPE notes_%s %s\nnotes_%s %llu\n", name, kind, name,
			 (unsigned long long)value);

	if (n > 0 && (size_t)n < room)
		t->length += (size_t)n;
}

static void http_metrics(struct text *t, const an_http_server *server)
{
	an_http_server_stats s;
	char name[40];

	an_http_server_get_stats(server, &s);
	gauge(t, "http_connections", "gauge", s.connections);
	gauge(t, "http_in_flight", "gauge", s.in_flight);
	gauge(t, "http_requests_total", "counter", s.requests);
	for (int i = 1; i < 6; i++) {
		snprintf(name, sizeof name, "http_responses_%dxx_total", i);
		gauge(t, name, "counter", s.responses[i]);
	}
	gauge(t, "http_malformed_total", "counter", s.malformed);
	gauge(t, "http_timeouts_total", "counter", s.timeouts);
}

static void pool_metrics(struct text *t, const an_pg_pool *pool)
{
	an_pg_pool_stats s;

	an_pg_pool_get_stats(pool, &s);
	gauge(t, "pool_size_max", "gauge", s.max_size);
	gauge(t, "pool_lent", "gauge", s.lent);
	gauge(t, "pool_idle", "gauge", s.idle);
	gauge(t, "pool_waiting", "gauge", s.waiting);
	gauge(t, "pool_acquired_total", "counter", s.acquired);
	gauge(t, "pool_connects_total", "counter", s.connects);
	gauge(t, "pool_connect_failures_total", "counter", s.connect_failures);
	gauge(t, "pool_cancelled_total", "counter", s.cancelled);
}

static int metrics(an_http_exchange *x, void *arg)
{
	struct service *service = arg;
	an_log_stats log;
	struct text *t = an_http_alloc(x, sizeof *t);

	if (!t)
		return 503;
	t->length = 0;
	http_metrics(t, service->server);
	pool_metrics(t, service->pool);
	an_log_get_stats(service->log, &log);
	gauge(t, "log_records_total", "counter", log.records);
	gauge(t, "log_dropped_total", "counter", log.dropped);
	gauge(t, "feed_subscribers", "gauge", service->feed.count);
	gauge(t, "feed_events_total", "counter", service->feed.events);
	gauge(t, "feed_dropped_total", "counter", service->feed.dropped);
	gauge(t, "tasks", "gauge", an_loop_task_count(an_loop_current()));
	return an_http_respond(x, 200, plain, t->bytes, t->length);
}

static int page(an_http_exchange *x, void *arg)
{
	static const an_http_header headers[] = {
		{ "content-type", "text/html; charset=utf-8" },
		{ "content-security-policy",
		  "default-src 'self'; script-src 'unsafe-inline'; "
		  "style-src 'unsafe-inline'; img-src data:" },
		{ "cache-control", "no-cache" },
		{ NULL, NULL },
	};

	(void)arg;
	return an_http_respond(x, 200, headers, page_html, sizeof page_html - 1);
}

int status_add_routes(struct service *service)
{
	int r = an_http_route(service->server, "GET", "/healthz", healthz, service);

	if (r == 0)
		r = an_http_route(service->server, "GET", "/metrics", metrics, service);
	if (r == 0)
		r = an_http_route(service->server, "GET", "/", page, NULL);
	return r;
}
