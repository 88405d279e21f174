/* PostgreSQL: connections, a pool, transactions, notifications (libpq underneath).
 *
 *	an_pg_pool *pool;
 *	an_pg_result *notes;
 *
 *	r = an_pg_pool_new(&(an_pg_pool_opts){ .conn.conninfo = "dbname=app" }, &pool);
 *	r = an_pg_pool_query(pool, "select id, body from notes where id > $1",
 *			     AN_PG_PARAMS(an_pg_int8(last)), &notes);
 *	for (size_t i = 0; i < an_pg_result_rows(notes); i++)
 *		puts(an_pg_result_text(notes, i, 1));
 *	an_pg_result_free(notes);
 *	an_pg_pool_free(pool);
 *
 * Limits in time are an_timeout scopes around the calls. A query that is cancelled in its
 * middle (by a timeout, or otherwise) gives -ECANCELED to its task at once; the server is
 * then asked to stop in the background, and the connection is used again only when it is
 * known to be clean, or is closed. A statement outside a transaction may have taken
 * effect all the same.
 *
 * All objects belong to the loop they were made on. A connection runs one call at a time.
 */
#ifndef ASYNCNET_PG_H
#define ASYNCNET_PG_H

#include <asyncnet/api.h>
#include <asyncnet/time.h>

AN_BEGIN_DECLS

/* A connection, a pool of them, a whole result, a result that is read row by row, and a
 * connection that listens for notifications; opaque. */
typedef struct an_pg_conn an_pg_conn;
typedef struct an_pg_pool an_pg_pool;
typedef struct an_pg_result an_pg_result;
typedef struct an_pg_rows an_pg_rows;
typedef struct an_pg_listener an_pg_listener;

/* ---- errors ------------------------------------------------------------------------ */

/* Whether the statement that failed can have reached the server. */
typedef enum an_pg_sent {
	AN_PG_SENT_NO,	    /* it did not: running it again is safe */
	AN_PG_SENT_UNKNOWN, /* it may have, and may have been carried out */
} an_pg_sent;

/* What went wrong. Texts are cut to their field, always terminated, "" where there is
 * none. */
typedef struct an_pg_error {
	int code; /* what the call returned; 0: nothing has failed yet */
	/* PostgreSQL manual, appendix A. The library itself fills in 08001 (no connection
	 * could be made), 08006 (it was lost), 08007 (a COMMIT's outcome is unknown)
	 * where the server could not say anything. */
	char sqlstate[6];
	char severity[8]; /* "ERROR", "FATAL", "PANIC" */
	an_pg_sent sent;
	int position; /* in the statement, characters from 1; 0: unknown */
	char message[512];
	char detail[512];
	char hint[256];
	char constraint[64]; /* for classes 22 and 23: what was violated */
	char table[64];
	char column[64];
} an_pg_error;

/* ---- parameters -------------------------------------------------------------------- */

/* A value for $1, $2, ... Make it with the functions below; the fields are private. */
typedef struct an_pg_param {
	uint32_t type;	  /* OID; 0: the server infers it */
	int32_t length;	  /* of `data`; -1: NULL; -2: text up to its NUL */
	const void *data; /* borrowed until the call returns; NULL: `bytes` */
	char bytes[8];	  /* `length` of them, as they are sent */
} an_pg_param;

/* A statement's parameters, $1 first. */
typedef struct an_pg_params {
	const an_pg_param *list;
	size_t count;	     /* at most 65535, as the protocol has it */
	bool binary_results; /* default: text. The typed getters read both formats */
	bool once;	     /* do not keep a prepared statement for it */
} an_pg_params;

/* The parameters in place: AN_PG_PARAMS(an_pg_int8(7), an_pg_text(name)). At least one;
 * with none pass NULL. Valid in the enclosing block. */
#define AN_PG_PARAMS(...) \
	(&(const an_pg_params){ \
		.list = (const an_pg_param[]){ __VA_ARGS__ }, \
		.count = sizeof((const an_pg_param[]){ __VA_ARGS__ }) / \
			 sizeof(an_pg_param), \
	})

/* None of these suspends; what they point to is borrowed until the query returns.
 * an_pg_text() leaves the type to the server, so it is right for every type that has a
 * text form: dates, numeric, json, uuid, arrays; NULL is SQL's NULL. The others send the
 * binary form and their own type; where the server finds it ambiguous, write a cast
 * ($1::int). */
AN_API an_pg_param an_pg_null(void);
AN_API an_pg_param an_pg_text(const char *value);
AN_API an_pg_param an_pg_textn(const char *value, size_t length); /* type text; < 1 GiB */
AN_API an_pg_param an_pg_int4(int32_t value);
AN_API an_pg_param an_pg_int8(int64_t value);
AN_API an_pg_param an_pg_float8(double value);
AN_API an_pg_param an_pg_bool(bool value);
AN_API an_pg_param an_pg_bytea(const void *data, size_t length); /* < 1 GiB */
/* timestamptz; microseconds since 1970-01-01 UTC */
AN_API an_pg_param an_pg_timestamptz(int64_t unix_microseconds);
/* Any type in its binary form; `type` is its OID. */
AN_API an_pg_param an_pg_binary(uint32_t type, const void *data, size_t length);

/* ---- results ----------------------------------------------------------------------- */

/* Rows and columns count from 0. A place that does not exist reads as NULL. Nothing here
 * suspends. */

/* Accepts NULL, returns NULL. What was borrowed from it ends. */
AN_API an_pg_result *an_pg_result_free(an_pg_result *result);

/* How many rows and how many columns there are. */
AN_API size_t an_pg_result_rows(const an_pg_result *result);
AN_API size_t an_pg_result_columns(const an_pg_result *result);

/* Rows that an INSERT, UPDATE, DELETE, MERGE, COPY touched or a SELECT, FETCH, MOVE gave;
 * 0 for others. */
AN_API uint64_t an_pg_result_affected(const an_pg_result *result);

/* A column's name, borrowed; NULL out of range. */
AN_API const char *an_pg_result_column_name(const an_pg_result *result, size_t column);

/* A column's type, an OID; 0 out of range. */
AN_API uint32_t an_pg_result_column_type(const an_pg_result *result, size_t column);

/* The first column of that name, exactly as written; -ENOENT. */
AN_API int an_pg_result_column(const an_pg_result *result, const char *name);

/* Whether the value is NULL; true out of range. */
AN_API bool an_pg_result_is_null(const an_pg_result *result, size_t row, size_t column);

/* The value's bytes as the server sent them, followed by a NUL; borrowed; NULL for NULL.
 * In the text format this is what psql would print. */
AN_API const char *an_pg_result_text(const an_pg_result *result, size_t row,
				     size_t column);

/* How long that is, without the NUL; 0 for NULL. */
AN_API size_t an_pg_result_length(const an_pg_result *result, size_t row, size_t column);

/* Typed reading, from either format. *ret is untouched on failure, so it can hold a
 * default. Return 0; -ENODATA for NULL; -EINVAL for a value of another type; -ERANGE when
 * it does not fit. */
AN_API int an_pg_result_int8(const an_pg_result *result, size_t row, size_t column,
			     int64_t *ret); /* int2, int4, int8, oid */
AN_API int an_pg_result_float8(
	const an_pg_result *result, size_t row, size_t column,
	double *ret); /* float4, float8, the integers; numeric as text */
AN_API int an_pg_result_bool(const an_pg_result *result, size_t row, size_t column,
			     bool *ret);
/* timestamptz, or timestamp taken as UTC; from the binary format alone (ask for
 * binary_results). Microseconds since 1970-01-01 UTC; -ERANGE for infinity. */
AN_API int an_pg_result_timestamptz(const an_pg_result *result, size_t row, size_t column,
				    int64_t *ret);
/* The bytes of a bytea, decoded; borrowed from the result. In the text format they are
 * decoded in place at the first call, after which an_pg_result_text() shows them, too. */
AN_API int an_pg_result_bytea(an_pg_result *result, size_t row, size_t column,
			      const void **ret, size_t *ret_length);

/* ---- connections ------------------------------------------------------------------- */

/* Strings are copied. */
typedef struct an_pg_conn_opts {
	/* A libpq connection string or URI; NULL: PG... environment variables and libpq's
	 * defaults. Several hosts are tried in their order. Names are resolved off the
	 * loop, and each address is tried with a deadline of its own. With `service=`
	 * libpq reads the service file and resolves what it says by itself, blocking the
	 * loop meanwhile. Added unless given: client_encoding=UTF8, gssencmode=disable,
	 * fallback_application_name, keepalives after 30 s idle, tcp_user_timeout=30000.
	 */
	const char *conninfo;
	/* For one address, name resolution apart; 0: connect_timeout of the string, else
	 * 10 s. */
	an_duration connect_timeout;
	/* For cleaning up after a cancelled query, and for waiting for a COMMIT after its
	 * task was cancelled; 0: 3 s. */
	an_duration cancel_budget;
	/* A result with more rows, or of more memory, fails with AN_ERR_LIMIT; larger
	 * ones are read by an_pg_rows_begin(). */
	size_t result_rows;  /* 0: 1000000 */
	size_t result_bytes; /* 0: 64 MiB */
	/* Prepared statements kept for each connection; 0: 100. A query with parameters
	 * is prepared when its text comes for the second time; the least recently used is
	 * dropped. */
	unsigned statement_cache;
	/* Never prepare: for PgBouncer's transaction pooling without support for it. */
	bool no_prepare;
	/* Notices and warnings of the server, on the loop's stack: must not suspend.
	 * NULL: dropped. */
	void (*notice)(const char *severity, const char *sqlstate, const char *message,
		       void *arg);
	void *notice_arg;
} an_pg_conn_opts;

/* Connects outside any pool. Suspends. `opts` may be NULL, `error` (may be NULL) is
 * filled on failure.
 * Returns 0 and a connection that the caller closes; AN_ERR_PG_CONNECTION, also when no
 * address answered within connect_timeout; AN_ERR_NAME and AN_ERR_NAME_AGAIN when the
 * last host had no address; -EINVAL for a conninfo that cannot be parsed; -ENOMEM;
 * -ECANCELED. */
AN_API AN_SUSPENDS int an_pg_connect(const an_pg_conn_opts *opts, an_pg_error *error,
				     an_pg_conn **ret);

/* Closes a connection of an_pg_connect(), also while a query is being cancelled. Accepts
 * NULL, returns NULL; never suspends. */
AN_API an_pg_conn *an_pg_close(an_pg_conn *conn);

/* What went wrong last on this connection; borrowed until its next call. */
AN_API const an_pg_error *an_pg_conn_error(const an_pg_conn *conn);

/* Whether the connection can still be used. */
AN_API bool an_pg_conn_alive(const an_pg_conn *conn);

/* The process id of the server's backend, for its log. */
AN_API int an_pg_conn_backend_pid(const an_pg_conn *conn);

/* ---- queries ----------------------------------------------------------------------- */

/* Runs one statement. Suspends. `params` may be NULL; `ret` may be NULL when no rows are
 * wanted. A prepared plan that has become stale (0A000, 26000) is made anew, once,
 * outside a transaction. Cancelled before it was sent, nothing has happened; after it,
 * see the top of this file: an_pg_conn_error()->sent tells which. The connection may be
 * used again at once: the next call waits until it is clean.
 * Returns 0 and a result for an_pg_result_free(); AN_ERR_SQL; AN_ERR_PG_CONNECTION when
 * the connection is lost, also for COPY to or from the client, which is not supported and
 * costs the connection; AN_ERR_LIMIT when the result is too large; -EBUSY while another
 * task's call runs on it; -EINVAL for more than 65535 parameters; -ENOMEM; -ECANCELED. */
AN_API AN_SUSPENDS int an_pg_query(an_pg_conn *conn, const char *sql,
				   const an_pg_params *params, an_pg_result **ret);

/* Runs statements separated by semicolons, as one implicit transaction, and drops their
 * rows. Never put values into `sql`. Suspends. Returns as above; after an error the rest
 * is not run. */
AN_API AN_SUSPENDS int an_pg_exec(an_pg_conn *conn, const char *sql);

/* Sends a notification with a payload of less than 8000 bytes; NULL: none. In a
 * transaction it leaves with the COMMIT. Suspends. Returns as an_pg_query(). */
AN_API AN_SUSPENDS int an_pg_notify(an_pg_conn *conn, const char *channel,
				    const char *payload);

/* Runs a statement whose rows are fetched in batches, as fast as they are read: memory
 * stays flat for a result of any size. Suspends until the statement was sent. The
 * connection is taken until an_pg_rows_end().
 * Returns as an_pg_query(). */
AN_API AN_SUSPENDS int an_pg_rows_begin(an_pg_conn *conn, const char *sql,
					const an_pg_params *params, an_pg_rows **ret);

/* The next rows: at least one, at most 1024 or about 64 KiB. Suspends. *ret is borrowed
 * until the next call. After a failure or a cancellation only an_pg_rows_end() is left.
 * Returns 1; 0 at the end, with *ret untouched; as an_pg_query(). */
AN_API AN_SUSPENDS int an_pg_rows_next(an_pg_rows *rows, an_pg_result **ret);

/* Ends it; rows that were not read are cancelled in the background. Accepts NULL, returns
 * NULL. Must come before the connection is released or closed. */
AN_API an_pg_rows *an_pg_rows_end(an_pg_rows *rows);

/* ---- transactions ------------------------------------------------------------------ */

/* How far a transaction is kept from others' (PostgreSQL manual, 13.2). */
typedef enum an_pg_isolation {
	AN_PG_ISOLATION_DEFAULT, /* the server's default_transaction_isolation */
	AN_PG_READ_COMMITTED,
	AN_PG_REPEATABLE_READ,
	AN_PG_SERIALIZABLE,
} an_pg_isolation;

/* Of an_pg_begin(). */
typedef struct an_pg_tx_opts {
	an_pg_isolation isolation;
	bool read_only;
	bool deferrable; /* with SERIALIZABLE and read_only: waits for a safe snapshot */
	unsigned attempts; /* an_pg_transaction(): runs in all; 0: 5 */
	/* Before the second run; doubled for each, +-50 %; 0: 10 ms. */
	an_duration backoff;
} an_pg_tx_opts;

/* Opens a transaction, or inside of one a savepoint (then `opts` must be NULL or zero:
 * -EINVAL). Each begin meets one commit or rollback. Suspends.
 * Returns as an_pg_query(). */
AN_API AN_SUSPENDS int an_pg_begin(an_pg_conn *conn, const an_pg_tx_opts *opts);

/* Commits the innermost. Suspends. Cancelled before it was sent, it returns -ECANCELED
 * and the transaction is open still. Once sent it is waited for, after a cancellation for
 * cancel_budget: 0 means committed. A transaction that had failed is rolled back by the
 * server instead: AN_ERR_SQL with 25P02, and it is over.
 * Returns 0; AN_ERR_SQL, and the transaction is rolled back; AN_ERR_PG_UNKNOWN (08007)
 * when the connection was lost, or the budget ran out, after it was sent; AN_ERR_MISUSE
 * outside a transaction; -ECANCELED. */
AN_API AN_SUSPENDS int an_pg_commit(an_pg_conn *conn);

/* Rolls the innermost back. Works in a cancelled scope: it runs under a shield of
 * cancel_budget, after waiting for a cancelled query to come to its end. Suspends.
 * Outside a transaction it does nothing.
 * Returns 0; AN_ERR_PG_CONNECTION (the server has rolled back then, or will). */
AN_API AN_SUSPENDS int an_pg_rollback(an_pg_conn *conn);

/* Takes a connection of the pool, runs fn(conn, arg) in a transaction, commits when it
 * returns >= 0 and rolls back otherwise. Suspends. When fn, or the commit, fails with
 * 40001 or 40P01 (serialization failure, deadlock) it is run again from the start,
 * `opts->attempts` times in all: fn must have no effect outside the database before it
 * returns. `opts` may be NULL.
 * Returns what fn returned; what an_pg_acquire(), an_pg_begin(), an_pg_commit() return.
 * an_pg_pool_error() has the details. */
AN_API AN_SUSPENDS int an_pg_transaction(an_pg_pool *pool,
					 int (*fn)(an_pg_conn *conn, void *arg),
					 void *arg, const an_pg_tx_opts *opts);

/* ---- pool -------------------------------------------------------------------------- */

/* A pool's connections are opened when they are needed, lent to one task at a time, first
 * come, first served, and reused last in, first out, so that the rest can age. There are
 * never more than max_size backends: a connection counts from the start of connecting
 * until the server has closed it, also while a cancelled query is cleaned up. An idle
 * connection that dies is noticed at once and never lent. With target_session_attrs
 * read-write or primary, one whose server refuses to write (25006) is not lent again. */
typedef struct an_pg_pool_opts {
	an_pg_conn_opts conn;
	unsigned max_size;    /* connections; 0: 10 */
	unsigned min_size;    /* kept open even when idle, in the background; 0: none */
	unsigned max_waiting; /* tasks parked in acquire; more get -EAGAIN; 0: 1024 */
	/* Handshakes at a time: with SCRAM each keeps the loop busy for some 7 ms.
	 * 0: 2. */
	unsigned max_connecting;
	an_duration idle_timeout; /* above min_size; 0: 5 min; AN_FOREVER: none */
	/* Less up to 10 % at random, so that they do not all end at once; 0: 1 h;
	 * AN_FOREVER: none. */
	an_duration max_lifetime;
	/* Between attempts when connecting fails; doubled each time, +-50 %. */
	an_duration backoff_min; /* 0: 100 ms */
	an_duration backoff_max; /* 0: 5 s */
	/* Statements that run in the background when a connection comes back, after the
	 * ROLLBACK where one is needed. It must leave the prepared statements alone
	 * (no "discard all"). NULL: none. */
	const char *reset;
} an_pg_pool_opts;

/* Makes a pool. `opts` may be NULL and is copied. Opens min_size connections in the
 * background. Never suspends; must be called on a loop's thread.
 * Returns 0; -EINVAL for a conninfo that cannot be parsed or min_size above max_size;
 * -ENOMEM; AN_ERR_NO_TASK. */
AN_API int an_pg_pool_new(const an_pg_pool_opts *opts, an_pg_pool **ret);

/* Closes idle connections and fails waiting tasks with AN_ERR_CLOSED, at once.
 * Connections that are lent may still be used and must still be released. Accepts NULL,
 * returns NULL. Never suspends. */
AN_API an_pg_pool *an_pg_pool_free(an_pg_pool *pool);

/* Lends no more (AN_ERR_CLOSED, also to those who wait) and waits until every connection
 * came back and the server has closed it. Suspends; the pool is then to be freed.
 * Returns 0; -ECANCELED, and the pool stays shut. */
AN_API AN_SUSPENDS int an_pg_pool_shutdown(an_pg_pool *pool);

/* Borrows a connection. Suspends. When the server cannot be reached and no connection is
 * open, it fails at once with the last attempt's error until the backoff is over; then
 * the next call makes one attempt.
 * Returns 0 and a connection for an_pg_release(); -EAGAIN when max_waiting are waiting;
 * AN_ERR_CLOSED; -ECANCELED (nothing was borrowed); as an_pg_connect(), with the details
 * in an_pg_pool_error(). */
AN_API AN_SUSPENDS int an_pg_acquire(an_pg_pool *pool, an_pg_conn **ret);

/* Gives it back: in any state; what is unfinished is cancelled and rolled back in the
 * background. Accepts NULL, returns NULL. Never suspends. */
AN_API an_pg_conn *an_pg_release(an_pg_conn *conn);

/* an_pg_query() on a borrowed connection. Suspends. When the connection turns out to be
 * dead before the statement was sent, another one is tried.
 * Returns as an_pg_acquire() and an_pg_query(). */
AN_API AN_SUSPENDS int an_pg_pool_query(an_pg_pool *pool, const char *sql,
					const an_pg_params *params, an_pg_result **ret);

/* What made the last failing call on the pool fail; for the task that got the failure,
 * until it suspends again. Borrowed. */
AN_API const an_pg_error *an_pg_pool_error(const an_pg_pool *pool);

/* What a pool holds and has done. */
typedef struct an_pg_pool_stats {
	/* now */
	unsigned max_size;
	unsigned lent;
	unsigned idle;
	unsigned connecting;
	unsigned cleaning; /* released, or waiting for a cancelled query to end */
	unsigned closing;
	unsigned waiting;
	bool failing; /* the last attempt to connect failed */
	/* since the start */
	uint64_t acquired;
	uint64_t acquire_waits;	    /* of them: had to wait */
	an_duration acquire_waited; /* how long, in all */
	uint64_t rejected;	    /* -EAGAIN */
	uint64_t connects;
	uint64_t connect_failures;
	uint64_t died;	    /* while idle or lent */
	uint64_t expired;   /* idle_timeout, max_lifetime */
	uint64_t cancelled; /* queries that were cancelled in their middle */
	uint64_t cleaned;   /* connections that were saved after that, or rolled back */
	/* who has held a connection for the longest: a leak shows here */
	char oldest_holder[32]; /* the task's name; "" when none is lent */
	an_duration oldest_held;
} an_pg_pool_stats;

/* The counters as they are now. Never suspends. */
AN_API void an_pg_pool_get_stats(const an_pg_pool *pool, an_pg_pool_stats *ret);

/* ---- notifications ----------------------------------------------------------------- */

/* What a NOTIFY brought. */
typedef struct an_pg_notification {
	const char *channel; /* borrowed until the next an_pg_listener_next() */
	const char *payload; /* "" for none */
	int backend_pid;     /* who sent it */
	/* Not a notification (channel and payload are ""): some may have been missed
	 * here, because the connection was lost and made again, or because `backlog` was
	 * exceeded. Read the state anew. */
	bool gap;
} an_pg_notification;

/* Of an_pg_listen(). */
typedef struct an_pg_listen_opts {
	unsigned backlog; /* kept while nobody reads, of less than 8 KiB each; 0: 1024 */
	/* Between attempts to connect again; doubled each time, +-50 %. */
	an_duration backoff_min; /* 0: 100 ms */
	an_duration backoff_max; /* 0: 5 s */
	/* How often a silent connection is tried; 0: 30 s; AN_FOREVER: never. */
	an_duration ping;
} an_pg_listen_opts;

/* Listens on channels, on a connection of its own that is made anew whenever it is lost.
 * Suspends until the first LISTEN has succeeded. `conn` and `opts` may be NULL;
 * `channels` ends with NULL; names are taken as they are written, as in an_pg_notify().
 * `error` (may be NULL) is filled on failure.
 * Returns 0 and a listener that the caller closes; as an_pg_connect() and
 * an_pg_query(). */
AN_API AN_SUSPENDS int an_pg_listen(const an_pg_conn_opts *conn,
				    const char *const *channels,
				    const an_pg_listen_opts *opts, an_pg_error *error,
				    an_pg_listener **ret);

/* The next notification. Suspends; one task at a time (-EBUSY). The connection's loss is
 * no failure: it is reported as a gap once the connection is back.
 * Returns 0; -EBUSY; AN_ERR_CLOSED when it was closed meanwhile; -ECANCELED (nothing was
 * taken). */
AN_API AN_SUSPENDS int an_pg_listener_next(an_pg_listener *listener,
					   an_pg_notification *ret);

/* Closes it. Accepts NULL, returns NULL. Never suspends. */
AN_API an_pg_listener *an_pg_listener_close(an_pg_listener *listener);

AN_END_DECLS

#endif
