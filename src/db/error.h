/* Filling struct an_pg_error. L4, no I/O. */
#ifndef AN_DB_ERROR_H
#define AN_DB_ERROR_H

#include <asyncnet/pg.h>
#include <libpq-fe.h>

/* From an error result of the server, or of libpq itself (which has no SQLSTATE:
 * `fallback` then). */
void an__pg_error_from_result(an_pg_error *e, int code, an_pg_sent sent,
			      const PGresult *res, const char *fallback);

/* From libpq's text about a connection that could not be made: "FATAL:  53300: too many
 * ..." holds the server's own SQLSTATE, which no function gives. Without one it is
 * `fallback`. */
void an__pg_error_from_text(an_pg_error *e, int code, const char *text,
			    const char *fallback);

/* One that the library found out by itself. */
void an__pg_error_set(an_pg_error *e, int code, an_pg_sent sent, const char *sqlstate,
		      const char *message);

/* Copies as much of a string as there is room for, never cutting a UTF-8 character. */
void an__pg_text_copy(char *to, size_t room, const char *from);

/* Whether running the transaction again may succeed: 40001, 40P01. */
bool an__pg_error_retryable(const an_pg_error *e);

#endif
