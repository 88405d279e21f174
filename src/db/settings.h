/* How to connect: the options of a connection, taken apart. L4, no I/O.
 *
 * libpq would resolve names in the calling thread and try several hosts without deadlines
 * of their own, so it is given one address at a time; the lists in the connection string
 * are split here.
 */
#ifndef AN_DB_SETTINGS_H
#define AN_DB_SETTINGS_H

#include <asyncnet/pg.h>
#include <libpq-fe.h>

typedef struct an__pg_target {
	const char *host, *hostaddr, *port; /* NULL: not given, libpq's default */
	bool resolve; /* host is a name, or digits, to go through an_resolve() */
} an__pg_target;

/* Shared by all connections made with it. */
typedef struct an__pg_settings {
	unsigned refs;
	an_pg_conn_opts opts; /* with the defaults filled in; conninfo is not kept */
	PQconninfoOption *parsed;
	const char **keywords, **values; /* what PQconnectStartParams() takes */
	size_t fixed;			 /* of them: the same for every target */
	an__pg_target *targets;
	size_t count;
	char *lists;	     /* what the targets point to */
	bool writable;	     /* target_session_attrs wants a server that writes */
	bool prefer_standby; /* two rounds over the targets: standbys alone, then any */
} an__pg_settings;

/* `opts` may be NULL; `error` (may be NULL) is filled on -EINVAL. Returns 0; -EINVAL;
 * -ENOMEM. */
int an__pg_settings_new(const an_pg_conn_opts *opts, an_pg_error *error,
			an__pg_settings **ret);
an__pg_settings *an__pg_settings_ref(an__pg_settings *s);
an__pg_settings *an__pg_settings_unref(an__pg_settings *s);

/* Fills the arrays for one attempt. `address`: in digits, or NULL for what the target
 * says. The strings must live until PQconnectStartParams() has been called. */
void an__pg_settings_aim(an__pg_settings *s, const an__pg_target *target,
			 const char *address, const char *session_attrs);

#endif
