/* Temporary files and folders, made by a worker. L3.
 *
 * A task that leaves the making behind leaves nothing in the file system.
 */
#include "config.h"

#include <asyncnet/offload.h>
#include <asyncnet/path.h>

#include "loop/base/alloc.h"
#include "loop/core/wait.h"
#include "loop/io/blocking.h"
#include "loop/io/errand.h"
#include "loop/io/file-private.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct temporary {
	an__errand errand;
	an_file *file; /* with fd -1 until it is made; NULL: none wanted */
	char *name;    /* the template, and what came of it */
};

static int make_named(struct temporary *t)
{
	t->file->fd = mkostemp(t->name, O_CLOEXEC);
	return t->file->fd < 0 ? -errno : 0;
}

static int do_file(an__errand *e)
{
	return make_named((struct temporary *)e);
}

static int do_nameless(an__errand *e)
{
	struct temporary *t = (struct temporary *)e;
	size_t len = an__folder_length(t->name);
	int r;

	t->name[len - 1] = 0;
	r = an__blocking_open(len > 1 ? t->name : "/", O_TMPFILE | O_RDWR, 0600);
	t->name[len - 1] = '/';
	t->file->fd = r;
	/* EISDIR: a kernel, or a file system, that does not know it (open(2)). */
	if (r != -EOPNOTSUPP && r != -EISDIR && r != -EINVAL)
		return r < 0 ? r : 0;
	r = make_named(t);
	if (r == 0)
		unlink(t->name);
	return r;
}

static int do_folder(an__errand *e)
{
	return mkdtemp(((struct temporary *)e)->name) ? 0 : -errno;
}

static void undo_file(an__errand *e)
{
	unlink(((struct temporary *)e)->name);
}

static void undo_folder(an__errand *e)
{
	rmdir(((struct temporary *)e)->name);
}

static void free_temporary(an__errand *e)
{
	struct temporary *t = (struct temporary *)e;

	if (t->file && t->file->fd >= 0)
		close(t->file->fd);
	free(t->file);
	free(t->name);
	free(t);
}

static const char *default_folder(const char *folder)
{
	if (!folder)
		folder = getenv("TMPDIR");
	return folder && *folder ? folder : "/tmp";
}

static struct temporary *prepare(const char *folder, const char *prefix, bool file)
{
	struct temporary *t = an__calloc(1, sizeof *t);

	if (!t)
		return NULL;
	t->name = an__asprintf("%s/%sXXXXXX", default_folder(folder),
			       prefix ? prefix : "an-");
	if (file)
		t->file = an__calloc(1, sizeof *t->file);
	if (t->file) {
		t->file->fd = -1;
		t->file->ahead = true;
	}
	t->errand.free = free_temporary;
	if (t->name && (t->file || !file))
		return t;
	free_temporary(&t->errand);
	return NULL;
}

static int finish(struct temporary *t, int r, char **ret_path, an_file **ret)
{
	if (r == 0 && ret_path) {
		*ret_path = t->name;
		t->name = NULL;
	}
	if (r == 0 && ret) {
		*ret = t->file;
		t->file = NULL;
	}
	an__errand_drop(&t->errand);
	return r;
}

/* What all of them do. */
static int make(const char *folder, const char *prefix, int (*fn)(an__errand *e),
		void (*undo)(an__errand *e), char **ret_path, an_file **ret)
{
	struct temporary *t;
	int r = an__wait_check();

	if (r < 0)
		return r;
	if (prefix && strchr(prefix, '/'))
		return -EINVAL;
	t = prepare(folder, prefix, ret);
	if (!t)
		return -ENOMEM;
	t->errand.fn = fn;
	t->errand.undo = undo;
	return finish(t, an__errand_run(&t->errand), ret_path, ret);
}

int an_temp_open(const char *folder, an_file **ret)
{
	return make(folder, NULL, do_nameless, NULL, NULL, ret);
}

int an_temp_file(const char *folder, const char *prefix, char **ret_path, an_file **ret)
{
	return make(folder, prefix, do_file, undo_file, ret_path, ret);
}

int an_temp_folder(const char *folder, const char *prefix, char **ret_path)
{
	return make(folder, prefix, do_folder, undo_folder, ret_path, NULL);
}
