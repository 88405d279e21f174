/* Connecting: one PGconn for each address, each with a deadline of its own. L4.
 *
 * PQconnectPoll() runs on the loop's stack, from events; the task waits. libpq may close
 * its socket and open another with the same number between two steps, so the event is
 * taken off before each step and assigned anew after it.
 */
#include "config.h"

#include "db/conn.h"

#include <asyncnet/error.h>

#include <errno.h>
#include <netdb.h>
#include <string.h>

static const an__wait_kind for_connection = { .what = "a database connection" };

static void on_ready(evutil_socket_t fd, short events, void *arg);

static void connected(an_pg_conn *c, int result)
{
	an__waiter *w = c->connecting;

	c->connecting = NULL;
	if (!result)
		an__pg_conn_ready(c);
	if (w)
		an__wake(w, result);
}

static void wait_for(an_pg_conn *c, short what)
{
	event_assign(&c->read, an_loop_base(c->loop), PQsocket(c->pg), what, on_ready, c);
	if (event_add(&c->read, NULL) < 0)
		connected(c, -ENOMEM);
}

static void on_ready(evutil_socket_t fd, short events, void *arg)
{
	an_pg_conn *c = arg;

	(void)fd;
	(void)events;
	event_del(&c->read);
	switch (PQconnectPoll(c->pg)) {
	case PGRES_POLLING_READING:
		wait_for(c, EV_READ);
		break;
	case PGRES_POLLING_WRITING:
		wait_for(c, EV_WRITE);
		break;
	case PGRES_POLLING_OK:
		connected(c, 0);
		break;
	case PGRES_POLLING_FAILED:
	case PGRES_POLLING_ACTIVE: /* not used any more */
		connected(c, AN_ERR_PG_CONNECTION);
		break;
	}
}

/* On the loop's stack: the first step reads files and sets TLS up. */
static void start(an__turn_hook *hook)
{
	an_pg_conn *c = an__container(hook, an_pg_conn, start);
	an__pg_settings *s = c->settings;

	an__pg_settings_aim(s, c->target, c->address, c->session_attrs);
	c->pg = PQconnectStartParams(s->keywords, s->values, 0);
	if (!c->pg) {
		connected(c, -ENOMEM);
		return;
	}
	PQsetNoticeReceiver(c->pg, an__pg_notice, c);
	/* The text is the only place where a refused connection's SQLSTATE is found. */
	PQsetErrorVerbosity(c->pg, PQERRORS_VERBOSE);
	if (PQstatus(c->pg) == CONNECTION_BAD)
		connected(c, AN_ERR_PG_CONNECTION);
	else
		wait_for(c, EV_WRITE);
}

/* Whether an error says more than the one that is kept: one of the server's own does. */
static bool says_more(const an_pg_error *kept, const an_pg_error *e)
{
	return !kept->code ||
	       (strcmp(e->sqlstate, "08001") && !strcmp(kept->sqlstate, "08001"));
}

static void note_failure(an_pg_conn *c, int code)
{
	an_pg_error e;

	if (code == -ETIMEDOUT)
		an__pg_error_set(&e, AN_ERR_PG_CONNECTION, AN_PG_SENT_NO, "08001",
				 "the server did not answer within connect_timeout");
	else if (code == AN_ERR_PG_CONNECTION)
		an__pg_error_from_text(&e, code, PQerrorMessage(c->pg), "08001");
	else
		an__pg_error_set(&e, code, AN_PG_SENT_NO, "08001", an_strerror(code));
	if (says_more(&c->error, &e))
		c->error = e;
}

static int attempt(an_pg_conn *c, const an__pg_target *target, const char *address)
{
	an__waiter w;
	int r;

	c->target = target;
	c->address = address;
	c->connecting = &w;
	an__turn_hook_init(&c->start, start);
	event_assign(&c->read, an_loop_base(c->loop), -1, 0, on_ready, c);
	an__loop_at_turn_end(c->loop, &c->start);
	r = an__wait_until(&w, NULL, an_now() + c->settings->opts.connect_timeout,
			   &for_connection);
	c->connecting = NULL;
	c->address = NULL;
	if (c->state == AN__PG_READY)
		return 0; /* a cancellation in the same turn is for the next call */
	an__list_remove(&c->start.node);
	event_del(&c->read);
	note_failure(c, r);
	PQfinish(c->pg);
	c->pg = NULL;
	return r;
}

/* Whether another address of the list is worth trying. */
static bool try_next(const an_pg_conn *c, int r)
{
	if (r == -ECANCELED || r == -ENOMEM || r == AN_ERR_NO_TASK)
		return false;
	/* A password or role that is refused here is refused there, too; and hosts may
	 * lock one out. */
	return strncmp(c->error.sqlstate, "28", 2) != 0;
}

static int attempt_named(an_pg_conn *c, const an__pg_target *target)
{
	an_addresses *addresses;
	char digits[NI_MAXHOST];
	int r;

	r = an_resolve(target->host, target->port ? target->port : "5432", &addresses);
	if (r < 0) {
		note_failure(c, r);
		return r;
	}
	r = AN_ERR_NAME;
	for (size_t i = 0; i < addresses->count; i++) {
		const an_address *a = &addresses->list[i];

		if (getnameinfo((const struct sockaddr *)&a->storage, a->length, digits,
				sizeof(digits), NULL, 0, NI_NUMERICHOST))
			continue;
		r = attempt(c, target, digits);
		if (!r || !try_next(c, r))
			break;
	}
	an_addresses_free(addresses);
	return r;
}

static int one_round(an_pg_conn *c)
{
	const an__pg_settings *s = c->settings;
	int r = -EINVAL;

	for (size_t i = 0; i < s->count; i++) {
		const an__pg_target *t = &s->targets[i];

		r = t->resolve ? attempt_named(c, t) : attempt(c, t, NULL);
		if (!r || !try_next(c, r))
			break;
	}
	return r;
}

int an__pg_connect(an_pg_conn *c)
{
	int r = an__wait_check();

	if (r < 0)
		return r;
	if (c->settings->prefer_standby) {
		c->session_attrs = "standby";
		r = one_round(c);
		if (!r || !try_next(c, r))
			return r;
		c->session_attrs = "any";
	}
	r = one_round(c);
	if (r == -ETIMEDOUT)
		r = AN_ERR_PG_CONNECTION;
	return r;
}
