/* A private PostgreSQL cluster for one test program, and what its tests share.
 *
 * Tasks check with CHECK(); the asserts are made on the main stack (tests/support/run.h).
 */
#ifndef TESTS_INTEGRATION_PG_SUPPORT_H
#define TESTS_INTEGRATION_PG_SUPPORT_H

#include "tests/support/program.h"
#include "tests/support/run.h"

#include <asyncnet/asyncnet.h>

#include <errno.h>
#include <signal.h>
#include <string.h>

static char pg_dir[] = "/tmp/asyncnet-pg-XXXXXX";
static char pg_conninfo[256];

/* `verb` is start or stop; what start prints is the connection string. */
static inline int pg_cluster(const char *verb)
{
	const char *top = getenv("top_srcdir");
	char command[512], line[256] = "";
	FILE *f;

	/* Should this process die, the script stops the server. */
	snprintf(command, sizeof(command), "%s/scripts/lib/pg-cluster.sh %s %s",
		 top ? top : ".", verb, pg_dir);
	if (!strcmp(verb, "start"))
		snprintf(command + strlen(command), 32, " %ld", (long)getpid());
	f = popen(command, "r");
	if (!f)
		return -1;
	if (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		strcpy(pg_conninfo, line);
	}
	return pclose(f);
}

static inline int pg_set_up(void **state)
{
	(void)state;
	return mkdtemp(pg_dir) ? pg_cluster("start") : -1;
}

static inline int pg_tear_down(void **state)
{
	char command[256];
	int r = pg_cluster("stop");

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", pg_dir);
	return r | system(command);
}

/* A test whose task is `name`_task and must return 0, on a loop with the real clock. */
#define PG_TEST(name) \
	static int name##_task(void *arg); \
	static void name(void **state) \
	{ \
		(void)state; \
		assert_int_equal(an_run(name##_task, NULL, NULL), 0); \
	} \
	static int name##_task(void *arg __attribute__((unused)))

static inline int pg_open(an_pg_conn **ret)
{
	return an_pg_connect(&(an_pg_conn_opts){ .conninfo = pg_conninfo }, NULL, ret);
}

/* The integer that a statement's first row begins with; or the failure. */
static inline int64_t pg_number(an_pg_conn *c, const char *sql,
				const an_pg_params *params)
{
	an_pg_result *result;
	int64_t n = -ENODATA;
	int r = an_pg_query(c, sql, params, &result);

	if (r < 0)
		return r;
	r = an_pg_result_int8(result, 0, 0, &n);
	an_pg_result_free(result);
	return r < 0 ? r : n;
}

/* Waits until the statement gives `expected`: for what happens in the server. */
static inline int pg_await(an_pg_conn *c, const char *sql, int64_t expected)
{
	int64_t n;

	do
		n = pg_number(c, sql, NULL);
	while (n >= 0 && n != expected);
	return n < 0 ? (int)n : 0;
}

#endif
