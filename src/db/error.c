/* Turns what libpq knows of a failure into struct an_pg_error. L4, no I/O.
 *
 * Invariant: every text is terminated and holds whole UTF-8 characters.
 */
#include "db/error.h"

#include <asyncnet/error.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

void an__pg_text_copy(char *to, size_t room, const char *from)
{
	size_t n;

	if (!from)
		from = "";
	n = strnlen(from, room);
	if (n >= room) {
		n = room - 1;
		/* Back to the first byte of the character that would be cut. */
		while (n > 0 && ((unsigned char)from[n] & 0xc0) == 0x80)
			n--;
	}
	memcpy(to, from, n);
	while (n > 0 && to[n - 1] == '\n')
		n--;
	to[n] = '\0';
}

void an__pg_error_set(an_pg_error *e, int code, an_pg_sent sent, const char *sqlstate,
		      const char *message)
{
	*e = (an_pg_error){ .code = code, .sent = sent };
	an__pg_text_copy(e->sqlstate, sizeof(e->sqlstate), sqlstate);
	an__pg_text_copy(e->message, sizeof(e->message), message);
}

void an__pg_error_from_result(an_pg_error *e, int code, an_pg_sent sent,
			      const PGresult *res, const char *fallback)
{
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	const char *position = PQresultErrorField(res, PG_DIAG_STATEMENT_POSITION);

	an__pg_error_set(e, code, sent, state ? state : fallback,
			 message ? message : PQresultErrorMessage(res));
#define FIELD(name, diag) \
	an__pg_text_copy(e->name, sizeof(e->name), PQresultErrorField(res, diag))
	FIELD(severity, PG_DIAG_SEVERITY_NONLOCALIZED);
	FIELD(detail, PG_DIAG_MESSAGE_DETAIL);
	FIELD(hint, PG_DIAG_MESSAGE_HINT);
	FIELD(constraint, PG_DIAG_CONSTRAINT_NAME);
	FIELD(table, PG_DIAG_TABLE_NAME);
	FIELD(column, PG_DIAG_COLUMN_NAME);
#undef FIELD
	if (position)
		e->position = atoi(position);
}

/* Whether "XXXXX: " with a SQLSTATE begins here. */
static bool sqlstate_at(const char *s)
{
	for (int i = 0; i < 5; i++)
		if (!isdigit((unsigned char)s[i]) && !(s[i] >= 'A' && s[i] <= 'Z'))
			return false;
	return s[5] == ':' && s[6] == ' ';
}

/* The severity before the colon may be translated, so the two blanks and the form of the
 * SQLSTATE are what identifies it. */
static const char *find_sqlstate(const char *text)
{
	for (const char *p = strstr(text, ":  "); p; p = strstr(p + 1, ":  "))
		if (sqlstate_at(p + 3))
			return p + 3;
	return NULL;
}

void an__pg_error_from_text(an_pg_error *e, int code, const char *text,
			    const char *fallback)
{
	const char *state;

	if (!text)
		text = "";
	state = find_sqlstate(text);
	if (!state) {
		an__pg_error_set(e, code, AN_PG_SENT_NO, fallback, text);
		return;
	}
	an__pg_error_set(e, code, AN_PG_SENT_NO, state, state + 7);
	an__pg_text_copy(e->severity, sizeof(e->severity), "FATAL");
	/* VERBOSE adds lines on where in the server it happened. */
	e->message[strcspn(e->message, "\n")] = '\0';
}

bool an__pg_error_retryable(const an_pg_error *e)
{
	return e->code == AN_ERR_SQL &&
	       (!strcmp(e->sqlstate, "40001") || !strcmp(e->sqlstate, "40P01"));
}
