/* The file on disk. See downloader.h.
 *
 * System calls on files block, so they are made on the library's worker threads:
 * an_offload() hands a function over and parks the task until it has returned. Each
 * operation here is such a function over a `struct work`, and a short one in front that
 * awaits it. Only one is under way for an output at any time, so nothing needs a lock.
 *
 * Until it is complete a file is called PATH.part; PATH.part.meta says what it is a part
 * of:
 *
 *	https://example.org/file.iso
 *	"5f3e-1a2b"
 *
 * the URL, and the validator that the server gave. The name PATH appears only by a rename
 * of a complete, verified, synced file.
 */
#include "downloader.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_BACK = 256 * 1024 }; /* bytes at a time when a part is hashed again */

struct output {
	char *path, *part, *meta, *url;
	int fd;
	int64_t size;
	struct validator validator;
	EVP_MD_CTX *digest; /* NULL: not wanted */
	bool finished;
};

/* One operation, on its way to a worker thread. */
struct work {
	struct output *o;
	bool resume;
	const struct validator *validator;
	int64_t length;
	const char *data;
	size_t len;
	const char *sha256;
};

/* ---- on a worker thread ------------------------------------------------------------ */

static int digest_begin(struct output *o)
{
	return !o->digest || EVP_DigestInit_ex(o->digest, EVP_sha256(), NULL) ? 0
									      : -ENOMEM;
}

/* Reads the part again so that the digest covers it. */
static int digest_what_is_there(struct output *o)
{
	char *buf;
	ssize_t n = 1;
	int r = 0;

	if (!o->digest || !o->size)
		return 0;
	buf = malloc(READ_BACK);
	if (!buf)
		return -ENOMEM;
	for (int64_t at = 0; at < o->size && n > 0 && !r; at += n) {
		n = pread(o->fd, buf, READ_BACK, at);
		if (n <= 0)
			r = n < 0 ? -errno : -EIO;
		else if (!EVP_DigestUpdate(o->digest, buf, (size_t)n))
			r = -ENOMEM;
	}
	free(buf);
	return r;
}

/* Whether the part belongs to this URL and can be continued; fetches its validator. */
static bool read_meta(struct output *o)
{
	FILE *f = fopen(o->meta, "re");
	char *line = NULL;
	size_t room = 0;
	ssize_t n;
	bool good = false;

	if (!f)
		return false;
	n = getline(&line, &room, f);
	if (n > 0 && (size_t)n == strlen(o->url) + 1 &&
	    !strncmp(line, o->url, (size_t)n - 1)) {
		n = getline(&line, &room, f);
		if (n > 1 && (size_t)n <= sizeof(o->validator.text)) {
			memcpy(o->validator.text, line, (size_t)n - 1);
			o->validator.text[n - 1] = 0;
			good = true;
		}
	}
	free(line);
	fclose(f);
	return good;
}

static int write_meta(struct output *o)
{
	FILE *f;
	int r;

	if (!*o->validator.text)
		return unlink(o->meta) && errno != ENOENT ? -errno : 0;
	f = fopen(o->meta, "we");
	if (!f)
		return -errno;
	r = fprintf(f, "%s\n%s\n", o->url, o->validator.text) < 0 ? -errno : 0;
	if (fclose(f) && !r)
		r = -errno;
	return r;
}

/* The part as it is now counts for nothing. */
static int empty(struct output *o)
{
	o->size = 0;
	o->validator.text[0] = 0;
	if (ftruncate(o->fd, 0))
		return -errno;
	return digest_begin(o);
}

/* Two downloads into one file would mix, so it is locked; the lock goes with the
 * descriptor. Between open and lock another download may have completed the file and
 * given it its name: then what was opened is not the part any more. */
static int open_locked(struct output *o)
{
	struct stat opened, named;

	for (;;) {
		o->fd = open(o->part, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
		if (o->fd < 0)
			return -errno;
		if (flock(o->fd, LOCK_EX | LOCK_NB))
			return errno == EWOULDBLOCK ? -EBUSY : -errno;
		if (fstat(o->fd, &opened))
			return -errno;
		o->size = opened.st_size;
		if (!stat(o->part, &named) && named.st_ino == opened.st_ino &&
		    named.st_dev == opened.st_dev)
			return 0;
		close(o->fd);
	}
}

static int open_work(void *arg)
{
	struct work *w = arg;
	struct output *o = w->o;
	int r = open_locked(o);

	if (r)
		return r;
	if (!w->resume || !o->size || !read_meta(o))
		return empty(o);
	r = digest_begin(o);
	return r ? r : digest_what_is_there(o);
}

static int restart_work(void *arg)
{
	struct work *w = arg;
	struct output *o = w->o;
	int r = empty(o);

	if (r)
		return r;
	o->validator = *w->validator;
	return write_meta(o);
}

/* The size must stay what has really come, for the resume: so not posix_fallocate(),
 * which changes it. Not every file system can reserve. */
static int reserve_work(void *arg)
{
	struct work *w = arg;

	if (w->length > 0 && fallocate(w->o->fd, FALLOC_FL_KEEP_SIZE, 0, w->length) &&
	    (errno == ENOSPC || errno == EDQUOT || errno == EFBIG))
		return -errno;
	return 0;
}

static int write_work(void *arg)
{
	struct work *w = arg;
	struct output *o = w->o;

	if (o->digest && !EVP_DigestUpdate(o->digest, w->data, w->len))
		return -ENOMEM;
	while (w->len) {
		ssize_t n = pwrite(o->fd, w->data, w->len, o->size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		o->size += n;
		w->data += n;
		w->len -= (size_t)n;
	}
	return 0;
}

static int check_digest(struct output *o, const char *sha256)
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	char text[2 * sizeof(sum) + 1];
	unsigned len = 0;

	if (!sha256)
		return 0;
	if (!EVP_DigestFinal_ex(o->digest, sum, &len))
		return -ENOMEM;
	for (unsigned i = 0; i < len; i++)
		snprintf(text + 2 * i, 3, "%02x", sum[i]);
	return strcasecmp(text, sha256) ? -EBADMSG : 0;
}

/* The folder's entry must reach the disk, too, or a crash could take the new name
 * away. */
static int sync_folder(const char *path)
{
	char *copy = strdup(path);
	int fd, r = 0;

	if (!copy)
		return -ENOMEM;
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || (fsync(fd) && errno != EINVAL))
		r = -errno;
	if (fd >= 0)
		close(fd);
	free(copy);
	return r;
}

static int finish_work(void *arg)
{
	struct work *w = arg;
	struct output *o = w->o;
	int r = check_digest(o, w->sha256);

	if (r == -EBADMSG) { /* wrong bytes must not be continued either */
		unlink(o->part);
		unlink(o->meta);
		o->finished = true;
	}
	if (r)
		return r;
	if (ftruncate(o->fd, o->size) || fsync(o->fd)) /* gives reserved room back */
		return -errno;
	if (rename(o->part, o->path))
		return -errno;
	o->finished = true;
	unlink(o->meta);
	return sync_folder(o->path);
}

/* ---- in the task ------------------------------------------------------------------- */

static char *suffixed(const char *path, const char *suffix)
{
	char *s = malloc(strlen(path) + strlen(suffix) + 1);

	if (s)
		strcat(strcpy(s, path), suffix);
	return s;
}

int output_open(const char *path, const char *url, bool resume, bool digest,
		struct output **ret)
{
	struct output *o = calloc(1, sizeof(*o));
	struct work w = { .o = o, .resume = resume };
	int r = -ENOMEM;

	if (!o)
		return -ENOMEM;
	o->fd = -1;
	o->path = strdup(path);
	o->url = strdup(url);
	o->part = suffixed(path, ".part");
	o->meta = suffixed(path, ".part.meta");
	o->digest = digest ? EVP_MD_CTX_new() : NULL;
	if (o->path && o->url && o->part && o->meta && (o->digest || !digest))
		r = an_offload(open_work, &w, NULL);
	if (r) {
		o->finished = true; /* nothing of ours is there to be removed */
		output_close(o);
		return r;
	}
	*ret = o;
	return 0;
}

int64_t output_size(const struct output *o)
{
	return o->size;
}

const struct validator *output_validator(const struct output *o)
{
	return &o->validator;
}

int output_restart(struct output *o, const struct validator *v)
{
	struct work w = { .o = o, .validator = v };

	return an_offload(restart_work, &w, NULL);
}

int output_reserve(struct output *o, int64_t length)
{
	struct work w = { .o = o, .length = length };

	return an_offload(reserve_work, &w, NULL);
}

int output_write(struct output *o, const void *data, size_t len)
{
	struct work w = { .o = o, .data = data, .len = len };

	return an_offload(write_work, &w, NULL);
}

int output_finish(struct output *o, const char *sha256)
{
	struct work w = { .o = o, .sha256 = sha256 };

	return an_offload(finish_work, &w, NULL);
}

struct output *output_close(struct output *o)
{
	if (!o)
		return NULL;
	if (!o->finished && (!o->size || !*o->validator.text)) {
		unlink(o->part);
		unlink(o->meta);
	}
	if (o->fd >= 0)
		close(o->fd);
	EVP_MD_CTX_free(o->digest);
	free(o->path);
	free(o->url);
	free(o->part);
	free(o->meta);
	free(o);
	return NULL;
}
