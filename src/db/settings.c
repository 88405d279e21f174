/* Takes a connection string apart and puts libpq's arguments together. L4, no I/O.
 *
 * Invariant: keywords[0..fixed) never change; the few behind them are those of the
 * current target.
 */
#include "db/settings.h"
#include "loop/base/alloc.h"

#include "db/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* host, hostaddr, port, target_session_attrs, and the terminating NULL. */
#define PER_TARGET 5

/* A longer limit is none; and a few of these together can still be added to a time. */
#define LONGEST (50 * 365 * 24 * AN_HOUR)

static const struct {
	const char *keyword, *value;
	const char *environment; /* a user's choice here is kept; NULL: there is none */
} added[] = {
	{ "client_encoding", "UTF8", "PGCLIENTENCODING" },
	{ "gssencmode", "disable", "PGGSSENCMODE" },
	{ "fallback_application_name", "asyncnet", NULL },
	/* A peer that vanished is noticed within two minutes instead of two hours. */
	{ "keepalives_idle", "30", NULL },
	{ "keepalives_interval", "10", NULL },
	{ "keepalives_count", "9", NULL },
	{ "tcp_user_timeout", "30000", NULL },
};
#define ADDED (sizeof(added) / sizeof(added[0]))

static const char *value_of(const PQconninfoOption *list, const char *keyword)
{
	for (; list && list->keyword; list++)
		if (!strcmp(list->keyword, keyword))
			return list->val && *list->val ? list->val : NULL;
	return NULL;
}

static bool is_target_keyword(const char *keyword)
{
	return !strcmp(keyword, "host") || !strcmp(keyword, "hostaddr") ||
	       !strcmp(keyword, "port") || !strcmp(keyword, "target_session_attrs") ||
	       !strcmp(keyword, "connect_timeout");
}

static void put(an__pg_settings *s, size_t *n, const char *keyword, const char *value)
{
	if (value) {
		s->keywords[*n] = keyword;
		s->values[*n] = value;
		++*n;
	}
	s->keywords[*n] = s->values[*n] = NULL;
}

static int fill_fixed(an__pg_settings *s)
{
	size_t n = 0, room = ADDED + PER_TARGET;

	for (const PQconninfoOption *o = s->parsed; o->keyword; o++)
		room++;
	s->keywords = an__calloc(room, sizeof(*s->keywords));
	s->values = an__calloc(room, sizeof(*s->values));
	if (!s->keywords || !s->values)
		return -ENOMEM;
	for (const PQconninfoOption *o = s->parsed; o->keyword; o++)
		if (o->val && !is_target_keyword(o->keyword))
			put(s, &n, o->keyword, o->val);
	for (size_t i = 0; i < ADDED; i++)
		if (!value_of(s->parsed, added[i].keyword) &&
		    !(added[i].environment && getenv(added[i].environment)))
			put(s, &n, added[i].keyword, added[i].value);
	s->fixed = n;
	return 0;
}

static size_t list_length(const char *list)
{
	size_t n = 1;

	if (!list)
		return 0;
	for (; *list; list++)
		n += *list == ',';
	return n;
}

/* The next element, ended in place; NULL for an empty one. *list becomes NULL at the
 * end. */
static const char *list_next(char **list)
{
	char *item = *list, *comma;

	if (!item)
		return NULL;
	comma = strchr(item, ',');
	*list = comma ? comma + 1 : NULL;
	if (comma)
		*comma = '\0';
	return *item ? item : NULL;
}

static char *copy_list(char **p, const char *list)
{
	char *copy = *p;

	if (!list)
		return NULL;
	*p = stpcpy(copy, list) + 1;
	return copy;
}

static size_t room_of(const char *s)
{
	return s ? strlen(s) + 1 : 0;
}

/* libpq's rules (manual, "Specifying Multiple Hosts"): as many hosts as host addresses
 * when both are given; one port for all, or one each. */
static int fill_targets(an__pg_settings *s, const char *host, const char *hostaddr,
			const char *port)
{
	size_t hosts = list_length(host), addresses = list_length(hostaddr);
	size_t ports = list_length(port);
	char *p, *h, *a, *o;
	const char *one_port = NULL;

	s->count = hosts > addresses ? hosts : addresses;
	if (!s->count)
		s->count = 1;
	if ((hosts && addresses && hosts != addresses) ||
	    (ports > 1 && ports != s->count))
		return -EINVAL;
	s->targets = an__calloc(s->count, sizeof(*s->targets));
	s->lists = p = an__malloc(room_of(host) + room_of(hostaddr) + room_of(port) + 1);
	if (!s->targets || !p)
		return -ENOMEM;
	h = copy_list(&p, host);
	a = copy_list(&p, hostaddr);
	o = copy_list(&p, port);
	if (ports == 1)
		one_port = list_next(&o);
	for (size_t i = 0; i < s->count; i++) {
		an__pg_target *t = &s->targets[i];

		t->host = list_next(&h);
		t->hostaddr = list_next(&a);
		t->port = one_port ? one_port : list_next(&o);
		/* A path, or '@' and a name, is a UNIX socket. */
		t->resolve =
			t->host && !t->hostaddr && *t->host != '/' && *t->host != '@';
	}
	return 0;
}

static int find_targets(an__pg_settings *s)
{
	PQconninfoOption *defaults = PQconndefaults();
	const char *v[4];
	const char *const names[] = { "host", "hostaddr", "port",
				      "target_session_attrs" };
	bool service;
	int r;

	if (!defaults)
		return -ENOMEM;
	/* What a service file says only libpq knows: then it goes its own way. */
	service = value_of(s->parsed, "service") || getenv("PGSERVICE");
	for (int i = 0; i < 4; i++) {
		v[i] = value_of(s->parsed, names[i]);
		if (!v[i] && !service)
			v[i] = value_of(defaults, names[i]);
	}
	r = fill_targets(s, v[0], v[1], v[2]);
	s->writable = v[3] && (!strcmp(v[3], "read-write") || !strcmp(v[3], "primary"));
	s->prefer_standby = s->count > 1 && v[3] && !strcmp(v[3], "prefer-standby");
	PQconninfoFree(defaults);
	return r;
}

static void fill_defaults(an__pg_settings *s)
{
	const char *seconds = value_of(s->parsed, "connect_timeout");
	an_pg_conn_opts *o = &s->opts;

	if (!seconds)
		seconds = getenv("PGCONNECT_TIMEOUT");
	if (o->connect_timeout <= 0 && seconds)
		o->connect_timeout = atoi(seconds) * AN_SECOND;
	if (o->connect_timeout <= 0)
		o->connect_timeout = 10 * AN_SECOND;
	if (o->cancel_budget <= 0)
		o->cancel_budget = 3 * AN_SECOND;
	if (o->connect_timeout > LONGEST)
		o->connect_timeout = LONGEST;
	if (o->cancel_budget > LONGEST)
		o->cancel_budget = LONGEST;
	if (!o->result_rows)
		o->result_rows = 1000000;
	if (!o->result_bytes)
		o->result_bytes = 64u << 20;
	if (!o->statement_cache)
		o->statement_cache = 100;
	if (o->no_prepare)
		o->statement_cache = 0;
}

int an__pg_settings_new(const an_pg_conn_opts *opts, an_pg_error *error,
			an__pg_settings **ret)
{
	an__pg_settings *s = an__calloc(1, sizeof(*s));
	char *text = NULL;
	int r = -EINVAL;

	if (!s)
		return -ENOMEM;
	s->refs = 1;
	if (opts)
		s->opts = *opts;
	s->parsed = PQconninfoParse(s->opts.conninfo ? s->opts.conninfo : "", &text);
	s->opts.conninfo = NULL;
	if (s->parsed) {
		fill_defaults(s);
		r = fill_fixed(s);
		if (!r)
			r = find_targets(s);
	} else if (!text) {
		r = -ENOMEM; /* PQconninfoParse: no text either */
	}
	if (r) {
		if (error)
			an__pg_error_set(error, r, AN_PG_SENT_NO, "08001",
					 text ? text
					      : "host, hostaddr and port do not match");
		an__pg_settings_unref(s);
	} else {
		*ret = s;
	}
	PQfreemem(text);
	return r;
}

an__pg_settings *an__pg_settings_ref(an__pg_settings *s)
{
	s->refs++;
	return s;
}

an__pg_settings *an__pg_settings_unref(an__pg_settings *s)
{
	if (!s || --s->refs)
		return NULL;
	PQconninfoFree(s->parsed);
	free(s->keywords);
	free(s->values);
	free(s->targets);
	free(s->lists);
	free(s);
	return NULL;
}

void an__pg_settings_aim(an__pg_settings *s, const an__pg_target *target,
			 const char *address, const char *session_attrs)
{
	size_t n = s->fixed;

	if (!session_attrs)
		session_attrs = value_of(s->parsed, "target_session_attrs");
	put(s, &n, "host", target->host);
	put(s, &n, "hostaddr", address ? address : target->hostaddr);
	put(s, &n, "port", target->port);
	put(s, &n, "target_session_attrs", session_attrs);
}
