/* Links, and where they lead, on the offload pool. L3.
 *
 * The arguments stay the caller's: a call that has begun is seen through. What a call
 * returns is made on the loop's thread, where a test can have the memory fail.
 */
#include "config.h"

#include <asyncnet/offload.h>
#include <asyncnet/path.h>

#include "loop/base/alloc.h"
#include "loop/core/wait.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

struct link_call {
	const char *path, *to;
	char *text; /* PATH_MAX bytes */
	size_t len;
};

static int do_link(void *arg)
{
	const struct link_call *c = arg;

	return link(c->path, c->to) < 0 ? -errno : 0;
}

int an_path_link(const char *path, const char *other)
{
	return an_offload(do_link, &(struct link_call){ .path = path, .to = other },
			  NULL);
}

static int do_symlink(void *arg)
{
	const struct link_call *c = arg;

	return symlink(c->path, c->to) < 0 ? -errno : 0;
}

int an_path_symlink(const char *target, const char *link)
{
	return an_offload(do_symlink, &(struct link_call){ .path = target, .to = link },
			  NULL);
}

/* ---- where they lead -------------------------------------------------------------- */

/* No file system of Linux has longer ones. */
static int do_readlink(void *arg)
{
	struct link_call *c = arg;
	ssize_t n = readlink(c->path, c->text, PATH_MAX);

	if (n < 0)
		return -errno;
	if (n == PATH_MAX)
		return -ENAMETOOLONG;
	c->len = (size_t)n;
	c->text[n] = 0;
	return 0;
}

static int do_realpath(void *arg)
{
	struct link_call *c = arg;

	if (!realpath(c->path, c->text))
		return -errno;
	c->len = strlen(c->text);
	return 0;
}

static int text_of(int (*fn)(void *arg), const char *path, char **ret)
{
	struct link_call c = { .path = path };
	char *fit;
	int r = an__wait_check();

	if (r < 0)
		return r;
	c.text = an__malloc(PATH_MAX);
	if (!c.text)
		return -ENOMEM;
	r = an_offload(fn, &c, NULL);
	if (r < 0) {
		free(c.text);
		return r;
	}
	fit = an__realloc(c.text, c.len + 1);
	*ret = fit ? fit : c.text;
	return 0;
}

int an_path_readlink(const char *path, char **ret_target)
{
	return text_of(do_readlink, path, ret_target);
}

int an_path_realpath(const char *path, char **ret_path)
{
	return text_of(do_realpath, path, ret_path);
}
