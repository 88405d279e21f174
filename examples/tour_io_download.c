/* The ninth chapter of tour_io: downloads, for which files, requests and limits come
 * together. Several at once, but not too many; each streamed to a file of another name,
 * which gets its own when it is whole; and resumed where the connection was lost.
 *
 * downloader.c is a program made of the same, with digests, redirects and progress.
 */
#include "tour_io.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 16 * 1024, SIZE = 256 * 1024 };

/* ---- the site ---------------------------------------------------------------------- */

struct site {
	bool cut; /* it has cut somebody off */
};

static char byte_at(size_t i)
{
	return (char)(i * 31 >> 3);
}

/* The bytes from `from` on; `until` is less than was promised when the site fails. */
static int send_bytes(an_http_exchange *x, size_t from, size_t until)
{
	char piece[PIECE];
	int r = 0;

	while (from < until && !r) {
		size_t len = until - from < PIECE ? until - from : PIECE;

		for (size_t i = 0; i < len; i++)
			piece[i] = byte_at(from + i);
		r = an_http_write(x, piece, len);
		from += len;
	}
	return r;
}

/* Range: bytes=N-, which is all that is needed to go on with a file. */
static int send_from(an_http_exchange *x, size_t from, size_t until)
{
	char range[64];
	const an_http_header headers[] = { { "content-range", range }, { NULL, NULL } };
	int r;

	snprintf(range, sizeof(range), "bytes %zu-%d/%d", from, SIZE - 1, SIZE);
	r = an_http_respond_begin(x, from ? 206 : 200, from ? headers : NULL,
				  (int64_t)(SIZE - from));
	if (!r)
		r = send_bytes(x, from, until);
	return r ? r : an_http_respond_end(x);
}

/* The first who asks for the shaky file gets half of it: an answer that was begun and not
 * ended has the connection cut, so that nobody takes it for the whole. */
static int file(an_http_exchange *x, void *arg)
{
	const char *name = an_http_param(x, "name");
	const char *range = an_http_request_header(x, "range");
	struct site *site = arg;
	size_t from = 0;

	if (!strcmp(name, "missing"))
		return 404;
	if (range && sscanf(range, "bytes=%zu-", &from) == 1 && from >= SIZE)
		return 416;
	if (!strcmp(name, "shaky") && !site->cut) {
		site->cut = true;
		an_ignore(send_from(x, from, SIZE / 2));
		return -EIO;
	}
	return send_from(x, from, SIZE);
}

/* ---- one download ------------------------------------------------------------------ */

struct download {
	an_http_client *client;
	an_semaphore *turns;
	char url[128], path[TOUR_PATH], part[TOUR_PATH + 8];
	unsigned attempts;
};

/* Memory is bounded by the piece, whatever the length. */
static int save_body(an_http_response *response, an_file *part, off_t at)
{
	char piece[PIECE];
	ssize_t n;
	int r;

	while ((n = an_http_response_read(response, piece, sizeof(piece))) > 0) {
		r = an_file_pwrite(part, piece, (size_t)n, at);
		if (r)
			return r;
		at += n;
	}
	return (int)n;
}

/* A server that does not know ranges answers 200 with all of it: from the start, then. */
static int save(an_http_response *response, an_file *part, off_t have)
{
	int r;

	switch (an_http_response_status(response)) {
	case 206:
		return save_body(response, part, have);
	case 200:
		r = an_file_truncate(part, 0);
		return r ? r : save_body(response, part, 0);
	case 404:
		return -ENOENT;
	default:
		return -EPROTO;
	}
}

/* Asks for what is missing. */
static int attempt(struct download *d, an_file *part)
{
	char range[64];
	const an_http_header headers[] = { { "range", range }, { NULL, NULL } };
	an_http_response *response;
	struct stat have;
	int r = an_file_stat(part, &have);

	if (r)
		return r;
	d->attempts++;
	snprintf(range, sizeof(range), "bytes=%lld-", (long long)have.st_size);
	r = an_http_send(d->client,
			 &(an_http_request){ .url = d->url,
					     .headers = have.st_size ? headers : NULL },
			 &response);
	if (r)
		return r;
	r = save(response, part, have.st_size);
	an_http_response_free(response);
	return r;
}

/* Another attempt is for a connection that was lost, and for nothing else. */
static int fetch(struct download *d, an_file *part)
{
	int r;

	do
		r = attempt(d, part);
	while ((r == AN_ERR_TRUNCATED || r == -ECONNRESET) && d->attempts < 3);
	return r ? r : an_file_sync(part);
}

/* The part stays when it failed: the next call goes on with it. What will never come
 * leaves nothing. */
static int download_now(struct download *d)
{
	an_file *part;
	int r = an_file_open(d->part, O_RDWR | O_CREAT, 0644, &part);

	if (r)
		return r;
	r = fetch(d, part);
	an_file_close(part);
	if (r == -ENOENT)
		an_ignore(an_path_unlink(d->part));
	return r ? r : an_path_rename(d->part, d->path);
}

/* async with semaphore: ... */
static int download(void *arg)
{
	struct download *d = arg;
	int r = an_semaphore_acquire(d->turns);

	if (r)
		return r;
	r = download_now(d);
	an_semaphore_release(d->turns);
	return r;
}

/* ---- all of them ------------------------------------------------------------------- */

enum { FILES = 4, AT_ONCE = 2 };

static const char *const names[FILES] = { "first", "shaky", "missing", "last" };

static bool is_whole(const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (data[i] != byte_at(i))
			return false;
	return len == SIZE;
}

static int say_outcome(const struct download *d, const char *name, int result)
{
	char *data;
	size_t len;
	int r;

	if (result < 0) {
		tour_say("%s: %s", name, tour_code(result));
		return 0;
	}
	r = an_path_read(d->path, 0, &data, &len);
	if (r)
		return r;
	tour_say("%s: whole: %s; attempts: %u", name, is_whole(data, len) ? "yes" : "no",
		 d->attempts);
	free(data);
	return 0;
}

/* await asyncio.gather(..., return_exceptions=True): a file that cannot be had does not
 * keep the others from coming. */
static int download_all(struct download *downloads, int *results)
{
	an_task *tasks[FILES];
	size_t spawned = 0;
	int r = 0;

	while (spawned < FILES && !r) {
		r = an_spawn(download, &downloads[spawned],
			     &(an_task_opts){ .name = names[spawned] }, &tasks[spawned]);
		if (!r)
			spawned++;
	}
	if (!r)
		r = an_gather(tasks, FILES, true, results);
	if (r) /* those that were spawned are ours still, and use `downloads` */
		an_ignore(an_cancel_all(tasks, spawned));
	return r;
}

struct visit {
	const char *folder;
	an_http_client *client;
};

static int visit_for_files(const char *site, void *arg)
{
	an_semaphore turns = AN_SEMAPHORE_INIT(AT_ONCE, AT_ONCE);
	struct download downloads[FILES] = { 0 };
	struct visit *visit = arg;
	int results[FILES], r;

	for (int i = 0; i < FILES; i++) {
		struct download *d = &downloads[i];

		d->client = visit->client;
		d->turns = &turns;
		snprintf(d->url, sizeof(d->url), "%s/%s", site, names[i]);
		tour_path(d->path, visit->folder, names[i]);
		snprintf(d->part, sizeof(d->part), "%s.part", d->path);
	}
	r = download_all(downloads, results);
	for (int i = 0; i < FILES && !r; i++)
		r = say_outcome(&downloads[i], names[i], results[i]);
	return r;
}

static int download_to(const char *folder)
{
	struct visit visit = { .folder = folder };
	struct site site = { .cut = false };
	an_http_server *server;
	int r = an_http_server_new(NULL, &server);

	if (r)
		return r;
	r = an_http_route(server, "GET", "/{name}", file, &site);
	if (!r)
		r = an_http_client_new(NULL, &visit.client);
	if (!r) {
		r = tour_visit(server, visit_for_files, &visit);
		an_http_client_free(visit.client);
	}
	an_http_server_free(server);
	return r;
}

static int several_files(void *arg)
{
	(void)arg;
	return tour_in_a_folder(download_to);
}

const struct tour_section tour_io_download[] = {
	{ "Four files, two at once, one cut off and one missing", .task = several_files },
	{ 0 },
};
