/* Writing batches. See sink.h.
 *
 * Used by one thread at a time: the one that holds the logger's `writing`.
 *
 * Invariant: a file gets whole batches, one write(2) each where the kernel takes it in
 * one; files are opened with O_APPEND, so that several processes may share one and a
 * truncated one has no hole.
 */
#include "log/sink.h"
#include "loop/base/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* How long a descriptor in non-blocking mode may refuse before that counts as a failed
 * write: the caller may be a loop's thread. */
#define REFUSAL_MS 200

/* The path must still mean the same file after a chdir(). */
static int absolute(const char *path, char **ret)
{
	char *made, *cwd;

	if (path[0] == '/') {
		made = an__strdup(path);
		if (!made)
			return -ENOMEM;
		*ret = made;
		return 0;
	}
	cwd = getcwd(NULL, 0);
	if (!cwd)
		return -errno;
	made = an__asprintf("%s/%s", cwd, path);
	free(cwd);
	if (!made)
		return -ENOMEM;
	*ret = made;
	return 0;
}

/* Asks which file it is and not for its times: after that Linux would write them with
 * each write that follows, which costs several times the write itself. */
static int identify(int fd, const char *path, struct statx *ret)
{
	if (statx(fd, path, *path ? 0 : AT_EMPTY_PATH, STATX_INO | STATX_NLINK, ret) < 0)
		return -errno;
	return 0;
}

static bool same_file(const an__log_sink *s, const struct statx *st)
{
	return s->ino == st->stx_ino && s->dev_major == st->stx_dev_major &&
	       s->dev_minor == st->stx_dev_minor;
}

/* Opens the path in place of what is open. Returns 0; the error, and nothing has
 * changed. */
static int open_file(an__log_sink *s)
{
	struct statx st;
	int fd, r;

	do
		fd = open(s->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY,
			  s->mode);
	while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return -errno;
	r = identify(fd, "", &st);
	if (r < 0) {
		close(fd);
		return r;
	}
	if (s->fd >= 0)
		close(s->fd);
	s->fd = fd;
	s->ino = st.stx_ino;
	s->dev_major = st.stx_dev_major;
	s->dev_minor = st.stx_dev_minor;
	return 0;
}

int an__log_sink_init(an__log_sink *s, const an_log_opts *opts)
{
	int r;

	memset(s, 0, sizeof *s);
	s->fd = -1;
	if (opts->sink) {
		s->fn = opts->sink;
		s->arg = opts->sink_arg;
		return 0;
	}
	if (!opts->path) {
		s->fd = opts->fd ? opts->fd : STDERR_FILENO;
		return 0;
	}
	s->mode = opts->mode ? opts->mode : 0640;
	r = absolute(opts->path, &s->path);
	if (r < 0)
		return r;
	r = open_file(s);
	if (r < 0)
		an__log_sink_done(s);
	return r;
}

void an__log_sink_done(an__log_sink *s)
{
	if (s->path && s->fd >= 0)
		close(s->fd);
	free(s->path);
	s->path = NULL;
	s->fd = -1;
}

char *an__log_sink_add(an__log_sink *s, an__log_batch *b, an_log_level level, size_t len)
{
	char *at;

	if (s->fn) {
		an__log_part part = { .level = level, .len = (uint32_t)len };
		memcpy(b->data + b->len, &part, sizeof part);
		b->len += sizeof part;
	}
	at = b->data + b->len;
	b->len += len;
	return at;
}

static int call_function(an__log_sink *s, an__log_batch *b)
{
	while (b->off < b->len) {
		an__log_part part;

		memcpy(&part, b->data + b->off, sizeof part);
		s->fn(s->arg, part.level, b->data + b->off + sizeof part, part.len);
		b->off += sizeof part + part.len;
		s->bytes += part.len;
	}
	return 0;
}

/* A line that was begun in the old file is written whole in the new one. */
static void go_back_to_line_start(an__log_batch *b)
{
	while (b->off && b->data[b->off - 1] != '\n')
		b->off--;
}

/* Opens the file anew if it is not the one at the path any more. Returns 0, also when
 * that fails and the old one can be written to; the error when it cannot: a file without
 * a name is lost. */
static int follow_path(an__log_sink *s, an__log_batch *b)
{
	struct statx st;
	bool asked = atomic_exchange_explicit(&s->reopen, false, memory_order_relaxed);
	int r;

	if (!asked && identify(AT_FDCWD, s->path, &st) == 0 && same_file(s, &st))
		return 0;
	r = open_file(s);
	if (r < 0) {
		s->open_errors++;
		atomic_store_explicit(&s->reopen, true, memory_order_relaxed);
		return identify(s->fd, "", &st) == 0 && st.stx_nlink ? 0 : r;
	}
	s->reopens++;
	go_back_to_line_start(b);
	return 0;
}

static int wait_writable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	int r = poll(&p, 1, REFUSAL_MS);

	if (r < 0)
		return errno == EINTR ? 0 : -errno;
	return r ? 0 : -EAGAIN;
}

static int write_bytes(an__log_sink *s, an__log_batch *b)
{
	while (b->off < b->len) {
		ssize_t n = write(s->fd, b->data + b->off, b->len - b->off);

		if (n > 0) {
			b->off += (size_t)n;
			s->bytes += (uint64_t)n;
			continue;
		}
		if (n == 0)
			return -EIO; /* not a thing that files do; never spin on it */
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return -errno;
		int r = wait_writable(s->fd);
		if (r < 0)
			return r;
	}
	return 0;
}

int an__log_sink_write(an__log_sink *s, an__log_batch *b)
{
	int r;

	if (s->fn)
		return call_function(s, b);
	if (s->path) {
		r = follow_path(s, b);
		if (r < 0)
			return r;
	}
	return write_bytes(s, b);
}
