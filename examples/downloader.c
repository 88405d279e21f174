/* downloader: fetches files over HTTP, several at once.
 *
 *	downloader [options] URL...
 *
 * The options are spelled as curl's. Each file is written to FILE.part beside its place
 * and gets its name when it is complete; what an interrupted download leaves is continued
 * by -C -.
 *
 * As an example this shows tasks working through a list (fetch_list), a group that waits
 * for them (download_all), and a task that draws progress meanwhile, which is cancelled
 * when they are done.
 */
#include "downloader.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
	"usage: downloader [options] URL...\n"
	"  -o, --output FILE     write to FILE; one for each URL, in their order\n"
	"  -O, --remote-name     name the file as the URL does (the default)\n"
	"  -C, --continue-at -   continue FILE.part if it is there\n"
	"  -L, --location        follow redirects\n"
	"  -j, --parallel-max N  files at once; 5\n"
	"      --sha256 HEX      what the file's digest must be; one for each URL, in "
	"their order\n"
	"      --retry N         how often to try again after a passing failure; 4\n"
	"      --cacert FILE     trust the authorities in this PEM file, not the "
	"system's\n"
	"  -k, --insecure        trust any certificate\n"
	"  -f, --fail            (always on: a status of 400 and above is exit code 22)\n"
	"  -s, --silent          no progress, only errors\n"
	"  -h, --help\n"
	"exit codes: 0; 2 usage; 3 URL; 6 resolve; 7 connect; 18 partial; 22 HTTP "
	"status; 23 write;\n"
	"  28 timeout; 35 TLS; 47 redirects; 52 no answer; 56 receive; 60 certificate; "
	"95 digest;\n"
	"  130 interrupted. A failed file's part stays for -C - if the server gave a "
	"validator.\n";

/* ---- the tasks --------------------------------------------------------------------- */

/* A worker: takes the next job of the list until there is none. */
static int fetch_list(void *arg)
{
	struct download *d = arg;
	int r = 0;

	while (!r && d->next < d->count) {
		struct job *job = &d->jobs[d->next++];

		r = fetch(d, job);
		progress_report(d, job);
	}
	return r;
}

static int download_all(struct download *d)
{
	an_group workers;

	an_group_begin(&workers);
	for (unsigned i = 0; i < d->options.parallel && i < d->count; i++)
		an_group_fail(&workers, an_group_spawn(&workers, fetch_list, d));
	return an_group_end(&workers);
}

static int download_with_progress(struct download *d)
{
	an_group group;
	int r, ended;

	an_group_begin(&group);
	an_group_fail(&group, an_group_spawn(&group, progress_task, d));
	r = download_all(d);
	an_group_cancel(&group);
	ended = an_group_end(&group);
	return r ? r : ended;
}

static int make_client(struct download *d, an_tls **ret_tls)
{
	const struct options *o = &d->options;
	char why[200] = "";
	int r;

	r = an_tls_new(&(an_tls_opts){ .ca_file = o->cacert, .no_verify = o->insecure },
		       why, sizeof(why), ret_tls);
	if (r) {
		fprintf(stderr, "downloader: %s: %s\n", o->cacert ? o->cacert : "TLS",
			*why ? why : an_strerror(r));
		return r;
	}
	r = an_http_client_new(
		&(an_http_client_opts){
			.tls = *ret_tls,
			.max_per_host = o->parallel,
			.max_total = o->parallel,
			.total_timeout = AN_FOREVER, /* large files take long */
			.max_redirects = o->follow ? 0 : AN_HTTP_NO_REDIRECTS,
			.user_agent = "libasyncnet-downloader" },
		&d->client);
	if (r)
		*ret_tls = an_tls_free(*ret_tls);
	return r;
}

static int app(void *arg)
{
	struct download *d = arg;
	an_tls *tls;
	int r = make_client(d, &tls);

	if (r) {
		d->jobs[0].exit_code = EXIT_CA_FILE;
		return r;
	}
	r = download_with_progress(d);
	an_http_client_free(d->client);
	an_tls_free(tls);
	return r;
}

/* ---- the command line -------------------------------------------------------------- */

static int usage(const char *message, const char *what)
{
	fprintf(stderr, "downloader: %s%s%s\ntry --help\n", message, what ? ": " : "",
		what ? what : "");
	return EXIT_USAGE;
}

static bool parse_number(const char *text, unsigned min, unsigned max, unsigned *ret)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || n < min || n > max)
		return false;
	*ret = (unsigned)n;
	return true;
}

/* The last segment of the URL's path, without query and fragment; NULL when there is none
 * that can be a file's name. */
static char *name_in_url(const char *url)
{
	const char *path = strstr(url, "://"), *end, *name;

	path = path ? strchr(path + 3, '/') : NULL;
	if (!path)
		return NULL;
	end = path + strcspn(path, "?#");
	for (name = end; name[-1] != '/'; name--)
		;
	if (name == end || !strncmp(name, ".", (size_t)(end - name)) ||
	    !strncmp(name, "..", (size_t)(end - name)))
		return NULL;
	return strndup(name, (size_t)(end - name));
}

/* Options that are given once for each URL gather here. */
struct lists {
	const char **outputs, **digests;
	size_t output_count, digest_count;
};

static int read_option(struct options *o, struct lists *l, int option)
{
	switch (option) {
	case 'o':
		l->outputs[l->output_count++] = optarg;
		return 0;
	case 'd':
		if (strlen(optarg) != 64 ||
		    strspn(optarg, "0123456789abcdefABCDEF") != 64)
			return usage("not a SHA-256 digest", optarg);
		l->digests[l->digest_count++] = optarg;
		return 0;
	case 'C':
		o->resume = true;
		return strcmp(optarg, "-") ? usage("only '-C -' is supported", NULL) : 0;
	case 'j':
		return parse_number(optarg, 1, 10000, &o->parallel)
			       ? 0
			       : usage("not a number of files", optarg);
	case 'r':
		return parse_number(optarg, 0, 1000, &o->retries)
			       ? 0
			       : usage("not a number of tries", optarg);
	case 'c':
		o->cacert = optarg;
		return 0;
	case 'L':
		o->follow = true;
		return 0;
	case 'k':
		o->insecure = true;
		return 0;
	case 's':
		o->silent = true;
		return 0;
	case 'O':
	case 'f':
		return 0;
	case 'h':
		fputs(help, stdout);
		exit(0);
	}
	return usage("the options are not understood", NULL);
}

static int read_options(int argc, char **argv, struct options *o, struct lists *l)
{
	static const struct option options[] = {
		{ "output", required_argument, NULL, 'o' },
		{ "remote-name", no_argument, NULL, 'O' },
		{ "continue-at", required_argument, NULL, 'C' },
		{ "location", no_argument, NULL, 'L' },
		{ "parallel-max", required_argument, NULL, 'j' },
		{ "sha256", required_argument, NULL, 'd' },
		{ "retry", required_argument, NULL, 'r' },
		{ "cacert", required_argument, NULL, 'c' },
		{ "insecure", no_argument, NULL, 'k' },
		{ "fail", no_argument, NULL, 'f' },
		{ "silent", no_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c, r;

	while ((c = getopt_long(argc, argv, "o:OC:Lj:kfsh", options, NULL)) != -1) {
		r = read_option(o, l, c);
		if (r)
			return r;
	}
	if (optind == argc)
		return usage("no URL was given", NULL);
	if (l->output_count > (size_t)(argc - optind) ||
	    l->digest_count > (size_t)(argc - optind))
		return usage("there are more files or digests than URLs", NULL);
	return 0;
}

static int compare_paths(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Two URLs must not write the same file. */
static int check_paths(const struct download *d)
{
	const char **paths = calloc(d->count, sizeof(*paths));
	int r = 0;

	if (!paths)
		return EXIT_MEMORY;
	for (size_t i = 0; i < d->count; i++)
		paths[i] = d->jobs[i].path;
	qsort(paths, d->count, sizeof(*paths), compare_paths);
	for (size_t i = 1; i < d->count && !r; i++)
		if (!strcmp(paths[i - 1], paths[i]))
			r = usage("two URLs would write the same file", paths[i]);
	free(paths);
	return r;
}

/* A file's name, and not a folder's. */
static bool is_file_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;

	return *name && strcmp(name, ".") && strcmp(name, "..");
}

static int make_jobs(struct download *d, char **urls, const struct lists *l)
{
	for (size_t i = 0; i < d->count; i++) {
		struct job *job = &d->jobs[i];

		job->url = urls[i];
		job->sha256 = i < l->digest_count ? l->digests[i] : NULL;
		job->path = i < l->output_count ? strdup(l->outputs[i])
						: name_in_url(urls[i]);
		if (!job->path)
			return usage("the URL names no file, use -o", urls[i]);
		if (!is_file_name(job->path))
			return usage("not the name of a file", job->path);
	}
	return check_paths(d);
}

static int run_jobs(struct download *d)
{
	/* Blocking work is mostly the disk's: as many threads as it can use. */
	int r = an_run(app, d, &(an_loop_opts){ .offload_threads = 4 });

	for (size_t i = 0; i < d->count; i++)
		if (d->jobs[i].exit_code)
			return d->jobs[i].exit_code;
	if (r == -ECANCELED)
		return EXIT_INTERRUPTED;
	return r < 0 ? EXIT_MEMORY : 0;
}

int main(int argc, char **argv)
{
	struct download d = { .options = { .parallel = 5, .retries = 4 } };
	struct lists l = { calloc((size_t)argc, sizeof(char *)),
			   calloc((size_t)argc, sizeof(char *)), 0, 0 };
	int r = l.outputs && l.digests ? 0 : EXIT_MEMORY;

	if (!r)
		r = read_options(argc, argv, &d.options, &l);
	if (!r) {
		d.count = (size_t)(argc - optind);
		d.jobs = calloc(d.count, sizeof(*d.jobs));
		r = d.jobs ? make_jobs(&d, argv + optind, &l) : EXIT_MEMORY;
	}
	if (!r)
		r = run_jobs(&d);
	for (size_t i = 0; i < d.count && d.jobs; i++)
		free((char *)d.jobs[i].path);
	free(d.jobs);
	free(l.outputs);
	free(l.digests);
	return r;
}
