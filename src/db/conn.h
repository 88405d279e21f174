/* One connection: the driver that owns a PGconn and its descriptor. L4.
 *
 * libpq's calls are made from events of the loop; tasks start an exchange (one command,
 * up to the server's ReadyForQuery) and park until it is over. The reading event stays
 * armed for life, so that notifications, and the death of an idle connection, are seen at
 * once.
 *
 * States and who moves them (an__pg_conn_move() is the only one that writes the field):
 *
 *	CONNECTING --connected--> READY --exchange sent--> BUSY --ReadyForQuery--> READY
 *	BUSY --its task is gone--> DRAINING --clean--> READY
 *	CONNECTING, READY, BUSY, DRAINING --lost--> BROKEN
 *	any --closed by its owner--> CLOSING --server closed, or grace over--> freed
 */
#ifndef AN_DB_CONN_H
#define AN_DB_CONN_H

#include "db/error.h"
#include "db/result.h"
#include "db/settings.h"
#include "db/statements.h"
#include "loop/base/list.h"
#include "loop/core/loop.h"
#include "loop/core/wait.h"

#include <asyncnet/net.h>
#include <asyncnet/sync.h>
#include <event2/event.h>
#include <event2/event_struct.h>

typedef enum an__pg_state {
	AN__PG_CONNECTING,
	AN__PG_READY,
	AN__PG_BUSY,	 /* an exchange runs; a task waits for it or reads its rows */
	AN__PG_DRAINING, /* nobody waits for the exchange; a cleaner task ends it */
	AN__PG_BROKEN,
	AN__PG_CLOSING,
} an__pg_state;

/* One command and its answer. */
typedef struct an__pg_exchange {
	bool running; /* sent, and ReadyForQuery has not come */
	bool keep;    /* collect the rows */
	bool stream;  /* stop reading when a batch is full */
	bool paused;  /* it is, and the reading event is off */
	bool over;    /* a result that is too large: the waiter has been told */
	bool stale;   /* the prepared plan is out of date, or gone */
	int error;    /* the first; AN_ERR_SQL and the like */
	uint64_t affected;
	char tag[16]; /* of the last command: "COMMIT" */
	an_pg_result *result;
	an__waiter *waiter;
} an__pg_exchange;

/* What the owner of a connection wants to know; NULL members are left out. Called on the
 * loop's stack, or on a task's from a call that loses the connection; must not
 * suspend. */
typedef struct an__pg_owner {
	void (*lost)(an_pg_conn *c); /* it is BROKEN */
	void (*closed)(
		an_pg_conn
			*c); /* CLOSING is over; the owner's reference is to be dropped */
	void (*cancelled)(an_pg_conn *c); /* a task left its exchange */
	void (*notified)(an_pg_conn *c, const PGnotify *n);
	/* In a task of its own, which may suspend: a released connection is clean or
	 * broken. */
	void (*cleaned)(an_pg_conn *c);
} an__pg_owner;

struct an_pg_conn {
	unsigned refs;
	an_loop *loop;
	an__pg_settings *settings;
	PGconn *pg;
	an__pg_state state;
	struct event read, write;
	an__timer timer; /* CLOSING: the grace */
	an__pg_exchange x;
	bool in_call;	  /* a task's call, of one exchange or several */
	bool cleaning;	  /* the cleaner task works; calls wait for it */
	bool undo_begin;  /* the query it cleans up after was a BEGIN */
	bool released;	  /* its user is gone while it is being cleaned */
	bool has_events;  /* read and write were assigned */
	bool user_closed; /* an_pg_close(): nobody owns it any more */
	unsigned depth;	  /* transactions and savepoints that were begun */
	an__pg_statements statements;
	an__waiters clean;    /* tasks whose call waits for the cleaner */
	an__waiters activity; /* the listener: woken by the loss */
	an__waiter *drained;  /* the cleaner */
	an_pg_error error;
	char fatal_state[6]; /* of a FATAL that came while nothing was asked */
	char fatal_message[256];

	/* connecting */
	an__turn_hook start;
	const an__pg_target *target;
	const char *address, *session_attrs;
	an__waiter *connecting;

	an__list all;	/* in an__pg_local.conns */
	int closing_fd; /* CLOSING: a second descriptor of the socket; 0: none */

	/* the owner's */
	const an__pg_owner *owner;
	void *owner_data;
	an__list node;
	an_duration since; /* idle or lent */
	an_duration end_of_life;
	unsigned place; /* the pool's state */
	char holder[32];
};

/* Makes one in CONNECTING, without a PGconn, with one reference. Returns 0; -ENOMEM;
 * AN_ERR_NO_TASK. */
int an__pg_conn_new(an__pg_settings *settings, an_pg_conn **ret);
void an__pg_conn_ref(an_pg_conn *c);
void an__pg_conn_unref(an_pg_conn *c);
void an__pg_conn_move(an_pg_conn *c, an__pg_state state);

/* The PGconn is connected: arms the events, READY. */
void an__pg_conn_ready(an_pg_conn *c);

/* Gives the connection up: BROKEN; everybody who waits is told. With NULLs the reason is
 * what the server or libpq said last. */
void an__pg_conn_lose(an_pg_conn *c, const char *sqlstate, const char *message);

/* Closes it, and says owner->closed() when the server has closed it, too, which is when
 * its backend is gone. May do so before it returns. */
void an__pg_conn_shut(an_pg_conn *c);

/* Notices; installed as soon as there is a PGconn. */
void an__pg_notice(void *arg, const PGresult *res);

/* ---- calls ------------------------------------------------------------------------- */

/* Begins a task's call: waits until a cancelled query before it has been cleaned up.
 * Suspends.
 * Returns 0; -EBUSY; AN_ERR_PG_CONNECTION; -ECANCELED; AN_ERR_NO_TASK. */
int an__pg_call_begin(an_pg_conn *c);

/* Ends it and gives `result` back. */
int an__pg_call_end(an_pg_conn *c, int result);

/* Starts an exchange in a call. `sent` is what PQsend... returned. Returns 0;
 * AN_ERR_PG_CONNECTION; -ENOMEM. */
int an__pg_exchange_start(an_pg_conn *c, int sent, bool keep, bool stream);

/* Waits for its end, or for a batch. On a cancellation the connection goes to DRAINING.
 * Suspends.
 * Returns 0; the exchange's error; -ECANCELED. */
int an__pg_exchange_wait(an_pg_conn *c);

/* The same, and only returns -ECANCELED; the exchange runs on: for a COMMIT. */
int an__pg_exchange_wait_kept(an_pg_conn *c);

/* Goes on with the next batch. */
void an__pg_exchange_resume(an_pg_conn *c);

/* Nobody wants the rest: DRAINING. */
void an__pg_exchange_abandon(an_pg_conn *c);

/* Takes the result out; the caller's. */
an_pg_result *an__pg_exchange_take(an_pg_conn *c);

/* One command without rows, start to end, in a call. Suspends. */
int an__pg_simple(an_pg_conn *c, const char *sql);

/* The same for those who clean up: on a cancellation it runs on, and the caller gives the
 * connection up. */
int an__pg_simple_kept(an_pg_conn *c, const char *sql);

/* Connects `c`; see an_pg_connect(). On failure c->error says why, and `c` may only be
 * unreferenced. */
int an__pg_connect(an_pg_conn *c);

/* ---- for each loop ----------------------------------------------------------------- */

typedef struct an__pg_local {
	/* PQcancel() calls on worker threads, which may hang there */
	an_semaphore cancels;
	an__list conns; /* all of them */
	an__list pools;
	an__list listeners;
} an__pg_local;

/* Returns NULL without memory. */
an__pg_local *an__pg_local_get(an_loop *loop);

/* The loop ends, and no task of a listener will run any more. `node` is in
 * an__pg_local.listeners. */
void an__pg_listener_loop_ends(an__list *node);

/* A task that brings the exchange of a DRAINING connection to its end. Returns 0;
 * -ENOMEM. */
int an__pg_clean_spawn(an_pg_conn *c);

#endif
