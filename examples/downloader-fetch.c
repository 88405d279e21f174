/* One URL to one file. See downloader.h.
 *
 * Straight-line code: ask, look at the status, read and write until the end. What is
 * remarkable is what is not here: no callbacks, no states, no buffers that grow with the
 * file.
 *
 * A part that is there already is continued by a Range request, guarded by If-Range with
 * the validator that the part came with: if the file has changed on the server, it
 * answers 200 with all of the new one, and the part is thrown away. Parts of two versions
 * are never joined.
 */
#include "downloader.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum {
	BLOCK = 256 *
		1024, /* bytes read before they are written: one trip to a worker each */
	BACKOFF_MAX = 60,     /* seconds between two tries */
	RETRY_AFTER_MAX = 300 /* seconds, the most that a server may make us wait */
};

/* What a try came to, beside the negative codes. */
enum { COMPLETE = 0, HTTP_FAILED = 1 };

/* One download under way. */
struct fetch {
	struct download *download;
	struct job *job;
	struct output *output;
	char *block;
	int status;	 /* of the last response */
	int retry_after; /* seconds that the server asked for; 0: did not */
	an_http_phase phase;
	bool local; /* what failed was the file, not the network */
};

/* ---- failures ---------------------------------------------------------------------- */

static int exit_code_of(const struct fetch *f, int r)
{
	if (f->local)
		return r == -EBADMSG  ? EXIT_DIGEST
		       : r == -ENOMEM ? EXIT_MEMORY
				      : EXIT_WRITE;
	switch (r) {
	case HTTP_FAILED:
		return EXIT_HTTP;
	case AN_ERR_URL:
	case -EINVAL:
		return EXIT_URL;
	case AN_ERR_NAME:
	case AN_ERR_NAME_AGAIN:
		return EXIT_RESOLVE;
	case AN_ERR_CERT:
	case AN_ERR_CERT_HOST:
		return EXIT_CERT;
	case AN_ERR_TLS:
		return EXIT_TLS;
	case AN_ERR_REDIRECT:
		return EXIT_REDIRECTS;
	case AN_ERR_MALFORMED:
	case AN_ERR_LIMIT:
		return EXIT_WEIRD_REPLY;
	case AN_ERR_EOF:
		return EXIT_NOTHING;
	case AN_ERR_TRUNCATED:
		return f->phase == AN_HTTP_PHASE_TLS ? EXIT_TLS : EXIT_PARTIAL;
	case -ETIMEDOUT:
		return EXIT_TIMEOUT;
	case -ECANCELED:
		return EXIT_INTERRUPTED;
	case -ENOMEM:
		return EXIT_MEMORY;
	}
	return f->phase == AN_HTTP_PHASE_CONNECT ? EXIT_CONNECT
	       : f->phase == AN_HTTP_PHASE_TLS	 ? EXIT_TLS
						 : EXIT_RECEIVE;
}

/* Whether another try may go better. */
static bool is_transient(const struct fetch *f, int r)
{
	if (f->local)
		return false;
	if (r == HTTP_FAILED)
		return f->status == 408 || f->status == 429 || f->status == 500 ||
		       f->status == 502 || f->status == 503 || f->status == 504;
	switch (exit_code_of(f, r)) {
	case EXIT_RESOLVE:
		return r == AN_ERR_NAME_AGAIN;
	case EXIT_CONNECT:
	case EXIT_NOTHING:
	case EXIT_PARTIAL:
	case EXIT_RECEIVE:
	case EXIT_TIMEOUT:
		return true;
	}
	return false;
}

static int network_failed(struct fetch *f, const an_http_error *e)
{
	f->phase = e->phase;
	snprintf(f->job->error, sizeof(f->job->error), "%s: %s",
		 an_http_phase_name(e->phase), e->text);
	return e->code;
}

static int file_failed(struct fetch *f, int r)
{
	f->local = r != -ECANCELED;
	snprintf(f->job->error, sizeof(f->job->error), "%s: %s", f->job->path,
		 r == -EBADMSG ? "the SHA-256 digest does not match; the file was removed"
		 : r == -EBUSY ? "another download writes to it"
		 : r == -ENOSPC ? "there is no room for it on the disk"
				: an_strerror(r));
	return r;
}

static int http_failed(struct fetch *f, const char *text)
{
	snprintf(f->job->error, sizeof(f->job->error), "%s", text);
	return HTTP_FAILED;
}

/* ---- what a response says ---------------------------------------------------------- */

static bool parse_date(const char *text, time_t *ret)
{
	struct tm tm = { 0 };
	const char *end = text ? strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm) : NULL;

	if (!end || *end)
		return false;
	*ret = timegm(&tm);
	return true;
}

/* A validator good enough to join bytes by: a strong entity tag, or a Last-Modified date
 * that was at least a second old when it was given, so that it cannot stand for two
 * versions of one second (RFC 9110 §8.8.2.2). */
static struct validator validator_of(const an_http_response *response)
{
	const char *etag = an_http_response_header(response, "ETag");
	const char *modified = an_http_response_header(response, "Last-Modified");
	time_t date, modified_at;
	struct validator v = { "" };

	if (etag && *etag == '"' && strlen(etag) < sizeof(v.text))
		strcpy(v.text, etag);
	else if (!etag && parse_date(an_http_response_header(response, "Date"), &date) &&
		 parse_date(modified, &modified_at) && date > modified_at)
		strcpy(v.text, modified);
	return v;
}

/* "bytes 100-199/200" or, with 416, an asterisk for the range. */
static bool parse_content_range(const an_http_response *response, int64_t *ret_from,
				int64_t *ret_total)
{
	const char *text = an_http_response_header(response, "Content-Range");
	int64_t from, to, total;
	int end = 0;

	if (!text)
		return false;
	if (sscanf(text, "bytes %" SCNd64 "-%" SCNd64 "/%" SCNd64 "%n", &from, &to,
		   &total, &end) == 3 &&
	    !text[end] && from >= 0 && from <= to && to < total && total - to == 1) {
		*ret_from = from;
		*ret_total = total;
		return true;
	}
	if (sscanf(text, "bytes */%" SCNd64 "%n", &total, &end) == 1 && !text[end]) {
		*ret_from = *ret_total = total;
		return true;
	}
	return false;
}

/* ---- one try ----------------------------------------------------------------------- */

static void show(struct fetch *f)
{
	f->job->done = output_size(f->output);
}

/* Reads the body to its end, a block at a time. */
static int copy_body(struct fetch *f, an_http_response *response)
{
	ssize_t n = 1;
	int r;

	while (n > 0) {
		size_t len = 0;

		while (len < BLOCK && n > 0) {
			n = an_http_response_read(response, f->block + len, BLOCK - len);
			if (n > 0)
				len += (size_t)n;
		}
		/* What came before a failure is kept for the resume. */
		r = len ? output_write(f->output, f->block, len) : 0;
		if (r)
			return file_failed(f, r);
		show(f);
	}
	return n < 0 ? network_failed(f, an_http_response_error(response)) : COMPLETE;
}

/* Throws the part away; the next try asks for all. */
static int start_over(struct fetch *f)
{
	int r = output_restart(f->output, &(struct validator){ "" });

	if (r)
		return file_failed(f, r);
	f->retry_after = 0;
	return http_failed(f, "the server could not continue the part that was there");
}

/* The response came to its end, but not the file: its Content-Range announced another
 * length than the body had. What is missing can be asked for; what is too much shows
 * that the bytes cannot be trusted. */
static int wrong_length(struct fetch *f, int64_t total)
{
	if (output_size(f->output) > total)
		return start_over(f);
	f->phase = AN_HTTP_PHASE_BODY;
	snprintf(f->job->error, sizeof(f->job->error),
		 "the server sent less than it announced");
	return AN_ERR_TRUNCATED;
}

/* The part is as long as `from`, and what comes makes it `total` (-1: unknown). */
static int take_body(struct fetch *f, an_http_response *response, int64_t from,
		     int64_t total)
{
	int r = output_reserve(f->output, total);

	if (r)
		return file_failed(f, r);
	f->job->total = total;
	f->job->resumed = from;
	show(f);
	r = copy_body(f, response);
	if (r == COMPLETE && total >= 0 && output_size(f->output) != total)
		return wrong_length(f, total);
	return r;
}

/* 200: everything, from the beginning. */
static int take_all(struct fetch *f, an_http_response *response)
{
	struct validator v = validator_of(response);
	int r = output_restart(f->output, &v);

	if (r)
		return file_failed(f, r);
	return take_body(f, response, 0, an_http_response_length(response));
}

/* 206: the rest, if it is the rest of what we have. */
static int take_rest(struct fetch *f, an_http_response *response)
{
	const char *etag = an_http_response_header(response, "ETag");
	const char *have = output_validator(f->output)->text;
	int64_t from, total;

	if (!output_size(f->output) || !parse_content_range(response, &from, &total) ||
	    from != output_size(f->output) || from == total ||
	    (etag && *have == '"' && strcmp(etag, have)))
		return start_over(f);
	return take_body(f, response, from, total);
}

/* 416: there is nothing behind what we have, which then is all, if the sizes agree. */
static int take_nothing(struct fetch *f, an_http_response *response)
{
	int64_t from, total;

	if (!output_size(f->output) || !parse_content_range(response, &from, &total) ||
	    total != output_size(f->output))
		return start_over(f);
	f->job->total = f->job->resumed = total;
	show(f);
	return COMPLETE;
}

static int take_failure(struct fetch *f, an_http_response *response)
{
	const char *after = an_http_response_header(response, "Retry-After");
	char text[160];

	f->retry_after = after ? atoi(after) : 0;
	if (f->retry_after < 0 || f->retry_after > RETRY_AFTER_MAX)
		f->retry_after = f->retry_after < 0 ? 0 : RETRY_AFTER_MAX;
	snprintf(text, sizeof(text), "the server answered %d %s%s", f->status,
		 an_http_response_reason(response),
		 f->status / 100 == 3 ? " (-L follows redirects)" : "");
	return http_failed(f, text);
}

static int try_once(struct fetch *f)
{
	const char *validator = output_validator(f->output)->text;
	an_http_header headers[3] = { { NULL, NULL } };
	an_http_response *response;
	char range[40];
	int r;

	f->retry_after = 0;
	if (output_size(f->output) && *validator) {
		snprintf(range, sizeof(range), "bytes=%" PRId64 "-",
			 output_size(f->output));
		headers[0] = (an_http_header){ "Range", range };
		headers[1] = (an_http_header){ "If-Range", validator };
	}
	r = an_http_send(f->download->client,
			 &(an_http_request){ .url = f->job->url, .headers = headers },
			 &response);
	if (r)
		return network_failed(f, an_http_client_error(f->download->client));
	f->status = an_http_response_status(response);
	if (f->status == 200)
		r = take_all(f, response);
	else if (f->status == 206)
		r = take_rest(f, response);
	else if (f->status == 416 && output_size(f->output))
		r = take_nothing(f, response);
	else
		r = take_failure(f, response);
	an_http_response_free(response);
	return r;
}

/* ---- all tries --------------------------------------------------------------------- */

/* 1, 2, 4, ... seconds, each off by up to a half so that many clients do not come back at
 * once; or as long as the server asked for. */
static an_duration pause_before(unsigned tries, int retry_after)
{
	an_duration seconds = tries < 6 ? 1 << tries : BACKOFF_MAX;
	uint16_t noise = 0x8000;

	if (retry_after)
		return retry_after * AN_SECOND;
	if (getrandom(&noise, sizeof(noise), GRND_NONBLOCK) < 0)
		noise = 0x8000;
	return seconds * AN_SECOND / 2 + seconds * AN_SECOND / 65536 * noise;
}

static int try_until_done(struct fetch *f)
{
	bool continuing = output_size(f->output) > 0;
	unsigned tries = 0;
	int r;

	for (;;) {
		r = try_once(f);
		if (r == COMPLETE || r == -ECANCELED)
			return r;
		/* A part that was refused is gone now: asking again for all costs no
		 * try. */
		if (continuing && !f->local && !output_size(f->output) &&
		    (f->status == 206 || f->status == 416)) {
			continuing = false;
			continue;
		}
		if (!is_transient(f, r) || tries >= f->download->options.retries)
			return r;
		r = an_sleep(pause_before(tries++, f->retry_after));
		if (r)
			return r;
		continuing = output_size(f->output) > 0;
	}
}

/* The file is open. */
static int fetch_to_output(struct fetch *f)
{
	int r;

	f->block = malloc(BLOCK);
	if (!f->block)
		return file_failed(f, -ENOMEM);
	show(f);
	r = try_until_done(f);
	free(f->block);
	if (r)
		return r;
	r = output_finish(f->output, f->job->sha256);
	return r ? file_failed(f, r) : COMPLETE;
}

int fetch(struct download *download, struct job *job)
{
	struct fetch f = { .download = download, .job = job };
	int r;

	job->state = JOB_ACTIVE;
	job->total = -1;
	job->started = an_now();
	r = output_open(job->path, job->url, download->options.resume,
			job->sha256 != NULL, &f.output);
	if (r)
		r = file_failed(&f, r);
	else
		r = fetch_to_output(&f);
	output_close(f.output);
	job->ended = an_now();
	job->state = r ? JOB_FAILED : JOB_DONE;
	if (r)
		job->exit_code = exit_code_of(&f, r);
	if (r == -ECANCELED)
		snprintf(job->error, sizeof(job->error), "interrupted");
	return r == -ECANCELED ? r : 0;
}
