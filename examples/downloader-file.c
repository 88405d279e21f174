/* The file on disk. See downloader.h.
 *
 * Files block, so the library's an_file calls run on worker threads while the task is
 * parked; so does the hashing, by an_offload(). What never blocks (a lock that is tried,
 * an unlink while closing) is called as it is.
 *
 * Until it is complete a file is called PATH.part; PATH.part.meta says what it is a part
 * of:
 *
 *	https://example.org/file.iso
 *	"5f3e-1a2b"
 *
 * the URL, and the validator that the server gave. The name PATH appears only by a rename
 * of a complete, verified, synced file. Neither is opened through a symbolic link: in a
 * folder that others may write to, it would be theirs.
 */
#include "downloader.h"

#include <errno.h>
#include <libgen.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <unistd.h>

enum {
	READ_BACK = 256 * 1024, /* bytes at a time when a part is hashed again */
	META_MAX = 9 * 1024,	/* a URL, a validator */
};

struct output {
	char *path, *part, *meta, *url;
	an_file *file;
	int64_t size;
	struct validator validator;
	EVP_MD_CTX *digest; /* NULL: not wanted */
	bool finished;
};

/* ---- the digest -------------------------------------------------------------------- */

struct hashing {
	EVP_MD_CTX *digest;
	const void *data;
	size_t len;
};

/* On a worker thread: a block takes as long as many a small answer of other tasks. */
static int hash_work(void *arg)
{
	struct hashing *h = arg;

	return EVP_DigestUpdate(h->digest, h->data, h->len) ? 0 : -ENOMEM;
}

static int digest_add(struct output *o, const void *data, size_t len)
{
	struct hashing h = { o->digest, data, len };

	return o->digest ? an_offload(hash_work, &h, NULL) : 0;
}

static int digest_begin(struct output *o)
{
	return !o->digest || EVP_DigestInit_ex(o->digest, EVP_sha256(), NULL) ? 0
									      : -ENOMEM;
}

/* Reads the part again so that the digest covers it. */
static int digest_what_is_there(struct output *o)
{
	char *buf = o->digest ? malloc(READ_BACK) : NULL;
	int r = !o->digest || buf ? 0 : -ENOMEM;

	for (int64_t at = 0; buf && !r && at < o->size;) {
		ssize_t n = an_file_pread(o->file, buf, READ_BACK, at);

		r = n > 0 ? digest_add(o, buf, (size_t)n) : n < 0 ? (int)n : -EIO;
		at += n;
	}
	free(buf);
	return r;
}

static int digest_check(struct output *o, const char *sha256)
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

/* ---- PATH.part.meta ---------------------------------------------------------------- */

/* A header field can hold no others. */
static bool is_printable(const char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return false;
	}
	return true;
}

/* Two lines: ours, and the validator. Returns whether they are that. */
static bool parse_meta(struct output *o, char *text)
{
	char *url_end = strchr(text, '\n');
	char *end = url_end ? strchr(url_end + 1, '\n') : NULL;

	if (!end || end == url_end + 1 ||
	    (size_t)(end - url_end) > sizeof(o->validator.text))
		return false;
	*url_end = *end = 0;
	if (strcmp(text, o->url) || !is_printable(url_end + 1))
		return false;
	strcpy(o->validator.text, url_end + 1);
	return true;
}

/* Whether the part belongs to this URL and can be continued; fetches its validator. */
static bool read_meta(struct output *o)
{
	char *text = malloc(META_MAX);
	an_file *f = NULL;
	ssize_t n = -ENOMEM;

	if (text)
		n = an_file_open(o->meta, O_RDONLY | O_NOFOLLOW, 0, &f);
	if (!n)
		n = an_file_pread(f, text, META_MAX - 1, 0);
	an_file_close(f);
	if (n >= 0)
		text[n] = 0;
	n = n > 0 && parse_meta(o, text);
	free(text);
	return n;
}

static int write_meta(struct output *o)
{
	an_file *f;
	char *text;
	int r, len;

	if (!*o->validator.text) {
		r = an_path_unlink(o->meta);
		return r == -ENOENT ? 0 : r;
	}
	len = asprintf(&text, "%s\n%s\n", o->url, o->validator.text);
	if (len < 0)
		return -ENOMEM;
	r = an_file_open(o->meta, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0666, &f);
	if (!r) {
		r = an_file_pwrite(f, text, (size_t)len, 0);
		an_file_close(f);
	}
	free(text);
	return r;
}

/* ---- PATH.part --------------------------------------------------------------------- */

/* The part as it is now counts for nothing. */
static int empty(struct output *o)
{
	int r = an_file_truncate(o->file, 0);

	o->size = 0;
	o->validator.text[0] = 0;
	return r ? r : digest_begin(o);
}

/* Two downloads into one file would mix, so it is locked; the lock goes with the
 * descriptor. Between open and lock another download may have completed the file and
 * given it its name: then what was opened is not the part any more. */
static int open_locked(struct output *o)
{
	struct stat opened, named;
	int r;

	for (;;) {
		r = an_file_open(o->part, O_RDWR | O_CREAT | O_NOFOLLOW, 0666, &o->file);
		if (r)
			return r;
		if (flock(an_file_fd(o->file), LOCK_EX | LOCK_NB))
			return errno == EWOULDBLOCK ? -EBUSY : -errno;
		r = an_file_stat(o->file, &opened);
		if (r)
			return r;
		o->size = opened.st_size;
		r = an_path_stat(o->part, &named);
		if (!r && named.st_ino == opened.st_ino && named.st_dev == opened.st_dev)
			return 0;
		if (r && r != -ENOENT)
			return r;
		o->file = an_file_close(o->file);
	}
}

static int open_part(struct output *o, bool resume)
{
	int r = open_locked(o);

	if (r)
		return r;
	if (!resume || !o->size || !read_meta(o))
		return empty(o);
	r = digest_begin(o);
	return r ? r : digest_what_is_there(o);
}

/* ---- what fetch.c calls ------------------------------------------------------------ */

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
	int r = -ENOMEM;

	if (!o)
		return -ENOMEM;
	o->path = strdup(path);
	o->url = strdup(url);
	o->part = suffixed(path, ".part");
	o->meta = suffixed(path, ".part.meta");
	o->digest = digest ? EVP_MD_CTX_new() : NULL;
	if (o->path && o->url && o->part && o->meta && (o->digest || !digest))
		r = open_part(o, resume);
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
	int r = empty(o);

	o->validator = *v;
	return r ? r : write_meta(o);
}

struct reserving {
	int fd;
	int64_t length;
};

/* The size must stay what has really come, for the resume: so not an_file_allocate(),
 * which changes it. Not every file system can reserve. */
static int reserve_work(void *arg)
{
	struct reserving *w = arg;

	if (fallocate(w->fd, FALLOC_FL_KEEP_SIZE, 0, w->length) &&
	    (errno == ENOSPC || errno == EDQUOT || errno == EFBIG))
		return -errno;
	return 0;
}

int output_reserve(struct output *o, int64_t length)
{
	struct reserving w = { an_file_fd(o->file), length };

	return length > 0 ? an_offload(reserve_work, &w, NULL) : 0;
}

int output_write(struct output *o, const void *data, size_t len)
{
	int r = digest_add(o, data, len);

	if (!r)
		r = an_file_pwrite(o->file, data, len, o->size);
	if (!r)
		o->size += (int64_t)len;
	return r;
}

/* The folder's entry must reach the disk, too, or a crash could take the new name
 * away. */
static int sync_folder(const char *path)
{
	char *copy = strdup(path);
	int r = copy ? an_path_sync(dirname(copy)) : -ENOMEM;

	free(copy);
	return r;
}

int output_finish(struct output *o, const char *sha256)
{
	int r = digest_check(o, sha256);

	if (r == -EBADMSG) { /* wrong bytes must not be continued either */
		o->size = 0;
		return r;
	}
	if (!r)
		r = an_file_truncate(o->file, o->size); /* gives reserved room back */
	if (!r)
		r = an_file_sync(o->file);
	if (!r)
		r = an_path_rename(o->part, o->path);
	if (r)
		return r;
	o->finished = true;
	r = sync_folder(o->path);
	unlink(o->meta); /* even if this is cancelled now: there is no part any more */
	return r;
}

struct output *output_close(struct output *o)
{
	if (!o)
		return NULL;
	if (!o->finished && (!o->size || !*o->validator.text)) {
		unlink(o->part);
		unlink(o->meta);
	}
	an_file_close(o->file);
	EVP_MD_CTX_free(o->digest);
	free(o->path);
	free(o->url);
	free(o->part);
	free(o->meta);
	free(o);
	return NULL;
}
