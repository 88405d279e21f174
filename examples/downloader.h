/* The downloader's parts: what they share.
 *
 *	downloader.c           options, and the tasks that work through the list
 *	downloader-fetch.c     one URL to one file: requests, resuming, retrying
 *	downloader-file.c      the file on disk, written by the library's worker threads
 *	downloader-progress.c  what is seen of it on the terminal
 */
#ifndef EXAMPLES_DOWNLOADER_H
#define EXAMPLES_DOWNLOADER_H

#include <asyncnet/asyncnet.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exit codes, curl's where it has one. */
enum {
	EXIT_USAGE = 2,
	EXIT_URL = 3,
	EXIT_RESOLVE = 6,
	EXIT_CONNECT = 7,
	EXIT_WEIRD_REPLY = 8,
	EXIT_PARTIAL = 18,
	EXIT_HTTP = 22,
	EXIT_WRITE = 23,
	EXIT_MEMORY = 27,
	EXIT_TIMEOUT = 28,
	EXIT_TLS = 35,
	EXIT_REDIRECTS = 47,
	EXIT_NOTHING = 52,
	EXIT_RECEIVE = 56,
	EXIT_CERT = 60,
	EXIT_CA_FILE = 77,
	EXIT_DIGEST =
		95, /* the file is not what --sha256 says; curl has no code for it */
	EXIT_INTERRUPTED = 130,
};

/* What the command line says. */
struct options {
	bool resume;   /* -C - */
	bool follow;   /* -L */
	bool insecure; /* -k */
	bool silent;   /* -s */
	const char *cacert;
	unsigned parallel; /* -j */
	unsigned retries;  /* --retry */
};

enum job_state { JOB_WAITING, JOB_ACTIVE, JOB_DONE, JOB_FAILED };

/* One URL of the list. */
struct job {
	const char *url;
	const char *path;   /* where the file goes */
	const char *sha256; /* 64 hexadecimal digits, or NULL */

	enum job_state state;
	int64_t done, total; /* bytes; total -1: unknown */
	int64_t resumed;     /* of `done`, from an earlier run or try */
	an_duration started, ended;
	int exit_code;
	char error[320];
};

/* The whole list. */
struct download {
	struct options options;
	struct job *jobs;
	size_t count, next;
	an_http_client *client;
};

/* ---- downloader-fetch.c ------------------------------------------------------------ */

/* Downloads one file, retrying as it makes sense. Suspends. Fills in the job's outcome.
 * Returns 0, or -ECANCELED when the program is to end. */
int fetch(struct download *download, struct job *job);

/* ---- downloader-file.c ------------------------------------------------------------- */

struct output;

/* What proves that a later request is for the same bytes: goes into If-Range. */
struct validator {
	char text[256]; /* a strong entity tag or a date; "": there is none */
};

/* Opens PATH.part for PATH, locked against other downloads. With `resume` what is in it
 * stays, if it is of the same URL and PATH.part.meta has a validator; otherwise it is
 * emptied. `digest`: compute SHA-256. All of these functions suspend while a worker
 * thread does the work, and return 0 or a negative code. */
AN_SUSPENDS int output_open(const char *path, const char *url, bool resume, bool digest,
			    struct output **ret);

/* How many bytes there are, and the validator they came with. */
int64_t output_size(const struct output *o);
const struct validator *output_validator(const struct output *o);

/* Forgets what there is and begins again; what comes has this validator. */
AN_SUSPENDS int output_restart(struct output *o, const struct validator *v);

/* Reserves room for a file of `length` bytes in all (-1: unknown, nothing is done), so
 * that a full disk is noticed now: -ENOSPC. */
AN_SUSPENDS int output_reserve(struct output *o, int64_t length);

/* Appends. */
AN_SUSPENDS int output_write(struct output *o, const void *data, size_t len);

/* All has come: checks the digest (-EBADMSG when it is another; the file is removed
 * then), syncs, and gives the file its name. `sha256` may be NULL. */
AN_SUSPENDS int output_finish(struct output *o, const char *sha256);

/* Closes. What there is stays as PATH.part for a later resume if it has a validator;
 * otherwise it is removed. Does not suspend: it only closes and unlinks. Returns NULL. */
struct output *output_close(struct output *o);

/* ---- downloader-progress.c --------------------------------------------------------- */

/* A task that draws a bar for every active file, until it is cancelled. arg: struct
 * download. */
int progress_task(void *arg);

/* Says how one job ended. */
void progress_report(const struct download *download, const struct job *job);

#endif
