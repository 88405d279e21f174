/* The notes themselves: a table, REST handlers over it, and an export of everything.
 *
 *	GET    /notes?after=ID&limit=N   newest last, at most 500 at a time
 *	POST   /notes                    { "text": "..." } -> 201
 *	GET    /notes/ID                 200 or 404
 *	PUT    /notes/ID                 { "text": "..." } -> 200 or 404
 *	DELETE /notes/ID                 204 or 404
 *	GET    /export                   one JSON object a line, streamed
 */
#include "service.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 10000
#define BODY_MAX (64 * 1024)

/* The parser calls itself for each array or object in another, 2048 deep at the most: a
 * task's stack is not made for that. */
#define NESTING_MAX 32

#define NOTE_COLUMNS \
	"id, text, to_char(created at time zone 'utc', " \
	"'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"

/* The lock lets several instances start at once; the trigger tells all of them of a
 * change, whoever made it. */
static const char schema[] =
	"begin;"
	"select pg_advisory_xact_lock(7236491);"
	"create table if not exists notes ("
	"  id bigint generated always as identity primary key,"
	"  text text not null,"
	"  created timestamptz not null default now());"
	"create or replace function notes_changed() returns trigger language plpgsql as "
	"$$ "
	"begin"
	"  perform pg_notify('notes', lower(tg_op) || ' ' || coalesce(new.id, old.id));"
	"  return null;"
	"end $$;"
	"create or replace trigger notes_changed after insert or update or delete on "
	"notes"
	"  for each row execute function notes_changed();"
	"commit";

int notes_create_schema(struct service *service)
{
	an_pg_conn *conn;
	int r = an_pg_acquire(service->pool, &conn);

	if (r < 0)
		return r;
	r = an_pg_exec(conn, schema);
	if (r < 0 && r != -ECANCELED)
		an_error(service->log, "the schema cannot be made: %s",
			 an_pg_conn_error(conn)->message);
	an_pg_release(conn);
	return r;
}

/* ---- answers ----------------------------------------------------------------------- */

/* Consumes `json`; NULL answers 500. */
AN_SUSPENDS static int respond_json(an_http_exchange *x, int status, json_t *json)
{
	static const an_http_header headers[] = { { "content-type", "application/json" },
						  { NULL, NULL } };
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	int r;

	json_decref(json);
	if (!text)
		return -ENOMEM;
	r = an_http_respond(x, status, headers, text, strlen(text));
	free(text);
	return r;
}

AN_SUSPENDS static int respond_error(an_http_exchange *x, int status, const char *message)
{
	return respond_json(x, status, json_pack("{s:s}", "error", message));
}

/* What a failed query means to the client. The details go to the log. */
AN_SUSPENDS static int respond_failure(struct service *service, an_http_exchange *x,
				       int r, const an_pg_error *error)
{
	switch (r) {
	case -ECANCELED:
		return r;
	case -ETIMEDOUT:
		return respond_error(x, 504, "the database took too long");
	case AN_ERR_SQL:
		an_error(service->log, "%s %s: %s", an_http_method(x), an_http_target(x),
			 error->message);
		return respond_error(x, 500, "the database refused the request");
	default:
		an_warn(service->log, "%s %s: %s", an_http_method(x), an_http_target(x),
			an_strerror(r));
		return respond_error(x, 503, "the database is not available");
	}
}

/* A query with the service's limit on time. */
AN_SUSPENDS static int query(struct service *service, const char *sql,
			     const an_pg_params *params, an_pg_result **ret)
{
	an_timeout limit;

	an_timeout_begin(&limit, DATABASE_LIMIT);
	return an_timeout_end(&limit, an_pg_pool_query(service->pool, sql, params, ret));
}

/* ---- requests ---------------------------------------------------------------------- */

static bool parse_number(const char *text, int64_t most, int64_t *ret)
{
	char *end;
	long long value;

	if (!text || *text < '0' || *text > '9')
		return false;
	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno || *end || value > most)
		return false;
	*ret = value;
	return true;
}

/* A number of the query string; absent, *ret keeps its default. */
static bool query_number(an_http_exchange *x, const char *name, int64_t most,
			 int64_t *ret)
{
	char text[32];
	ssize_t n = an_http_query_get(an_http_query(x), name, text, sizeof text);

	return n == -ENOENT || (n > 0 && parse_number(text, most, ret));
}

/* Looks at brackets alone: what else is wrong with it the parser tells. */
static bool nested_too_deep(const char *json, size_t length)
{
	size_t depth = 0;
	bool quoted = false;

	for (size_t i = 0; i < length && depth <= NESTING_MAX; i++) {
		if (json[i] == '"')
			quoted = !quoted;
		else if (quoted)
			i += json[i] == '\\';
		else if (json[i] == '[' || json[i] == '{')
			depth++;
		else if (depth && (json[i] == ']' || json[i] == '}'))
			depth--;
	}
	return depth > NESTING_MAX;
}

/* Reads { "text": "..." } from the body. Returns 0 and a reference; a status to answer
 * with; or a negative code of reading. */
AN_SUSPENDS static int read_text(an_http_exchange *x, json_t **ret)
{
	const char *body;
	json_t *json, *text;
	size_t length;
	int r;

	an_http_body_limit(x, BODY_MAX);
	r = an_http_body_read_all(x, &body, &length);
	if (r < 0)
		return r;
	if (nested_too_deep(body, length))
		return 422;
	json = json_loadb(body, length, JSON_REJECT_DUPLICATES, NULL);
	text = json_incref(json_object_get(json, "text"));
	json_decref(json);
	if (!json_is_string(text) || !json_string_length(text) ||
	    json_string_length(text) > TEXT_MAX) {
		json_decref(text);
		return 422;
	}
	*ret = text;
	return 0;
}

static json_t *note_json(const an_pg_result *result, size_t row)
{
	int64_t id = 0;

	if (an_pg_result_int8(result, row, 0, &id) < 0)
		return NULL;
	return json_pack("{s:I, s:s, s:s}", "id", (json_int_t)id, "text",
			 an_pg_result_text(result, row, 1), "created",
			 an_pg_result_text(result, row, 2));
}

/* ---- handlers ---------------------------------------------------------------------- */

static int list_notes(an_http_exchange *x, void *arg)
{
	struct service *service = arg;
	int64_t after = 0, limit = 100;
	an_pg_result *result;
	json_t *notes;
	int r;

	if (!query_number(x, "after", INT64_MAX, &after) ||
	    !query_number(x, "limit", 500, &limit))
		return respond_error(x, 400,
				     "after and limit are numbers; limit is at most 500");
	r = query(service,
		  "select " NOTE_COLUMNS " from notes where id > $1 order by id limit $2",
		  AN_PG_PARAMS(an_pg_int8(after), an_pg_int8(limit)), &result);
	if (r < 0)
		return respond_failure(service, x, r, an_pg_pool_error(service->pool));
	notes = json_array();
	for (size_t i = 0; i < an_pg_result_rows(result); i++)
		json_array_append_new(notes, note_json(result, i));
	an_pg_result_free(result);
	return respond_json(x, 200, json_pack("{s:o}", "notes", notes));
}

/* Answers with the one note that a query gave, or 404. Consumes the result. */
AN_SUSPENDS static int respond_note(an_http_exchange *x, int status, an_pg_result *result)
{
	json_t *note = NULL;
	bool found = an_pg_result_rows(result) > 0;

	if (found)
		note = note_json(result, 0);
	an_pg_result_free(result);
	return found ? respond_json(x, status, note)
		     : respond_error(x, 404, "there is no such note");
}

/* The text of the request went into a query: what that came to. */
AN_SUSPENDS static int respond_stored(struct service *service, an_http_exchange *x, int r,
				      int status, an_pg_result *result)
{
	return r < 0 ? respond_failure(service, x, r, an_pg_pool_error(service->pool))
		     : respond_note(x, status, result);
}

static int create_note(an_http_exchange *x, void *arg)
{
	struct service *service = arg;
	an_pg_result *result = NULL;
	json_t *text;
	int r = read_text(x, &text);

	if (r > 0)
		return respond_error(x, r, "wanted: {\"text\": \"1 to 10000 bytes\"}");
	if (r < 0)
		return r;
	r = query(service, "insert into notes (text) values ($1) returning " NOTE_COLUMNS,
		  AN_PG_PARAMS(an_pg_text(json_string_value(text))), &result);
	json_decref(text);
	return respond_stored(service, x, r, 201, result);
}

static int replace_note(an_http_exchange *x, void *arg)
{
	struct service *service = arg;
	an_pg_result *result = NULL;
	json_t *text;
	int64_t id;
	int r;

	if (!parse_number(an_http_param(x, "id"), INT64_MAX, &id))
		return respond_error(x, 404, "there is no such note");
	r = read_text(x, &text);
	if (r > 0)
		return respond_error(x, r, "wanted: {\"text\": \"1 to 10000 bytes\"}");
	if (r < 0)
		return r;
	r = query(service,
		  "update notes set text = $2 where id = $1 returning " NOTE_COLUMNS,
		  AN_PG_PARAMS(an_pg_int8(id), an_pg_text(json_string_value(text))),
		  &result);
	json_decref(text);
	return respond_stored(service, x, r, 200, result);
}

static int read_note(an_http_exchange *x, void *arg)
{
	struct service *service = arg;
	json_t *note;
	int64_t id;
	int r;

	if (!parse_number(an_http_param(x, "id"), INT64_MAX, &id))
		return respond_error(x, 404, "there is no such note");
	note = notes_fetch(service, id, &r);
	if (note)
		return respond_json(x, 200, note);
	return r < 0 ? respond_failure(service, x, r, an_pg_pool_error(service->pool))
		     : respond_error(x, 404, "there is no such note");
}

static int delete_note(an_http_exchange *x, void *arg)
{
	struct service *service = arg;
	an_pg_result *result;
	uint64_t deleted;
	int64_t id;
	int r;

	if (!parse_number(an_http_param(x, "id"), INT64_MAX, &id))
		return respond_error(x, 404, "there is no such note");
	r = query(service, "delete from notes where id = $1",
		  AN_PG_PARAMS(an_pg_int8(id)), &result);
	if (r < 0)
		return respond_failure(service, x, r, an_pg_pool_error(service->pool));
	deleted = an_pg_result_affected(result);
	an_pg_result_free(result);
	return deleted ? an_http_respond(x, 204, NULL, NULL, 0)
		       : respond_error(x, 404, "there is no such note");
}

json_t *notes_fetch(struct service *service, int64_t id, int *ret_result)
{
	an_pg_result *result;
	json_t *note = NULL;
	int r = query(service, "select " NOTE_COLUMNS " from notes where id = $1",
		      AN_PG_PARAMS(an_pg_int8(id)), &result);

	*ret_result = r;
	if (r < 0)
		return NULL;
	if (an_pg_result_rows(result)) {
		note = note_json(result, 0);
		*ret_result = note ? 0 : -ENOMEM;
	}
	an_pg_result_free(result);
	return note;
}

/* ---- export ------------------------------------------------------------------------ */

AN_SUSPENDS static int write_batch(an_http_exchange *x, const an_pg_result *batch)
{
	for (size_t i = 0; i < an_pg_result_rows(batch); i++) {
		json_t *note = note_json(batch, i);
		char *line = note ? json_dumps(note, JSON_COMPACT) : NULL;
		int r = -ENOMEM;

		json_decref(note);
		if (line)
			r = an_http_write(x, line, strlen(line));
		free(line);
		if (r == 0)
			r = an_http_write(x, "\n", 1);
		if (r < 0)
			return r;
	}
	return 0;
}

AN_SUSPENDS static int next_batch(an_pg_rows *rows, an_pg_result **ret)
{
	an_timeout limit;

	an_timeout_begin(&limit, DATABASE_LIMIT);
	return an_timeout_end(&limit, an_pg_rows_next(rows, ret));
}

/* Memory stays flat: rows are fetched as fast as the client takes them. */
AN_SUSPENDS static int stream_notes(an_http_exchange *x, an_pg_rows *rows)
{
	static const an_http_header headers[] = {
		{ "content-type", "application/x-ndjson" }, { NULL, NULL }
	};
	an_pg_result *batch;
	int r = an_http_respond_begin(x, 200, headers, AN_HTTP_CHUNKED);

	if (r < 0)
		return r;
	while ((r = next_batch(rows, &batch)) > 0) {
		r = write_batch(x, batch);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : an_http_respond_end(x);
}

AN_SUSPENDS static int begin_export(an_pg_conn *conn, an_pg_rows **ret)
{
	an_timeout limit;

	an_timeout_begin(&limit, DATABASE_LIMIT);
	return an_timeout_end(&limit, an_pg_rows_begin(conn,
						       "select " NOTE_COLUMNS
						       " from notes order by id",
						       NULL, ret));
}

AN_SUSPENDS static int export_from(struct service *service, an_http_exchange *x,
				   an_pg_conn *conn)
{
	an_pg_rows *rows;
	int r = begin_export(conn, &rows);

	if (r < 0)
		return respond_failure(service, x, r, an_pg_conn_error(conn));
	r = stream_notes(x, rows);
	an_pg_rows_end(rows);
	return r;
}

/* Holds a connection for as long as the client reads, so only some may. */
static int export_notes(an_http_exchange *x, void *arg)
{
	struct service *service = arg;
	an_timeout limit;
	an_pg_conn *conn;
	int r;

	if (an_semaphore_tryacquire(&service->exports) < 0)
		return respond_error(x, 503, "there are too many exports just now");
	an_timeout_begin(&limit, DATABASE_LIMIT);
	r = an_timeout_end(&limit, an_pg_acquire(service->pool, &conn));
	if (r < 0) {
		r = respond_failure(service, x, r, an_pg_pool_error(service->pool));
	} else {
		r = export_from(service, x, conn);
		an_pg_release(conn);
	}
	an_semaphore_release(&service->exports);
	return r;
}

int notes_add_routes(struct service *service)
{
	static const struct {
		const char *method, *pattern;
		an_http_handler handler;
	} routes[] = {
		{ "GET", "/notes", list_notes },
		{ "POST", "/notes", create_note },
		{ "GET", "/notes/{id}", read_note },
		{ "PUT", "/notes/{id}", replace_note },
		{ "DELETE", "/notes/{id}", delete_note },
		{ "GET", "/export", export_notes },
	};

	for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
		int r = an_http_route(service->server, routes[i].method,
				      routes[i].pattern, routes[i].handler, service);

		if (r < 0)
			return r;
	}
	return 0;
}
