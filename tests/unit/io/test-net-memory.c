/* Each allocation of names, listeners, connections, offloaded calls, signals and files
 * fails once: -ENOMEM comes back, nothing leaks, and the same call works afterwards. */
#include "loop/io/dns.h"
#include "tests/support/libevent-memory.h"
#include "tests/support/program.h"
#include "tests/support/run.h"

#include <asyncnet/file.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <string.h>

static size_t open_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* Runs `attempt` with the first, the second ... allocation failing until all have had
 * their turn. It returns what the call under test did, and cleans up after a success. */
static int fail_each(int (*attempt)(void *arg), void *arg)
{
	size_t before;
	int r = attempt(arg); /* what is made once for the loop is there */

	CHECK_EQUAL(r, 0);
	before = open_descriptors();
	for (size_t n = 1;; n++) {
		CHECK(n < 100);
		an_testing_fail_allocation(n);
		r = attempt(arg);
		if (!an_testing_allocation_failed()) {
			CHECK(n > 1);
			break;
		}
		/* Some are optional, such as the cache's. */
		CHECK(r == -ENOMEM || r == 0);
		CHECK_EQUAL(open_descriptors(), before);
	}
	CHECK_EQUAL(r, 0);
	return 0;
}

static int resolve_digits(void *arg)
{
	an_addresses *a;
	int r = an_resolve(arg, "80", &a);

	if (r == 0)
		an_addresses_free(a);
	return r;
}

static int fake_getaddrinfo(const char *host, const char *service,
			    const struct addrinfo *hints, struct addrinfo **ret)
{
	struct addrinfo numeric = { .ai_flags = AI_NUMERICHOST,
				    .ai_socktype = SOCK_STREAM };

	(void)host;
	(void)hints;
	return getaddrinfo("127.0.0.1", service, &numeric, ret);
}

static int resolve_new_name(void *arg)
{
	static int serial;
	an_addresses *a;
	char name[32];
	int r;

	(void)arg;
	snprintf(name, sizeof name, "n%d.test", serial++);
	r = an_resolve(name, "80", &a);
	if (r == 0)
		an_addresses_free(a);
	return r;
}

static int parse_address(void *arg)
{
	an_address a;

	return an_address_parse(arg, "80", &a);
}

static int connect_by_name(void *arg)
{
	static int serial;
	an_listener *l = arg;
	an_stream *s, *t;
	char name[32], port[8];
	int r;

	snprintf(name, sizeof name, "c%d.test", serial++);
	snprintf(port, sizeof port, "%u", an_listener_port(l));
	r = an_connect(name, port, &(an_connect_opts){ .bind_host = "127.0.0.1" }, &s);
	if (r == 0)
		an_stream_close(s);
	/* One that the client gave up afterwards is in the queue. */
	if (r == 0 && an_accept(l, &t) == 0)
		an_stream_close(t);
	return r;
}

TASK_TEST(names)
{
	an_listener *l;

	an__dns_getaddrinfo = fake_getaddrinfo;
	CHECK_EQUAL(fail_each(resolve_digits, "127.0.0.1"), 0);
	CHECK_EQUAL(fail_each(resolve_digits, "localhost"), 0);
	CHECK_EQUAL(fail_each(parse_address, "localhost"), 0);
	CHECK_EQUAL(fail_each(parse_address, "::1"), 0);
	CHECK_EQUAL(an_listen("127.0.0.1", "0", NULL, &l), 0);
	CHECK_EQUAL(fail_each(connect_by_name, l), 0);
	an_listener_close(l);
	return fail_each(resolve_new_name, NULL);
}

/* The whole answer takes longer than those of the families. */
static int slow_getaddrinfo(const char *host, const char *service,
			    const struct addrinfo *hints, struct addrinfo **ret)
{
	if (hints->ai_family == AF_UNSPEC)
		usleep(20000);
	return fake_getaddrinfo(host, service, hints, ret);
}

static int connect_early(void *arg)
{
	static int serial;
	an_connect_opts opts = { .attempt_delay = AN_MILLISECOND };
	an_stream *s;
	char name[32];
	int r;

	snprintf(name, sizeof name, "e%d.test", serial++);
	r = an_connect(name, arg, &opts, &s);
	if (r == 0)
		an_stream_close(s);
	return r;
}

static int early_answers_task(void *arg)
{
	an_listener *l;
	char port[8];
	int r;

	(void)arg;
	CHECK_EQUAL(an_listen("127.0.0.1", "0", NULL, &l), 0);
	snprintf(port, sizeof port, "%u", an_listener_port(l));
	r = fail_each(connect_early, port);
	an_listener_close(l);
	return r;
}

/* On the real clock: the virtual one stands still while a name is asked for. */
static void early_answers(void **state)
{
	(void)state;
	an__dns_getaddrinfo = slow_getaddrinfo;
	assert_int_equal(an_run(early_answers_task, NULL, NULL), 0);
}

static int listen_any(void *arg)
{
	an_listener *l;
	int r = an_listen(arg, "0", NULL, &l);

	if (r == 0)
		an_listener_close(l);
	return r;
}

static int listen_path(void *arg)
{
	an_listener *l;
	int r = an_listen_unix(arg, NULL, &l);

	if (r == 0)
		an_listener_close(l);
	return r;
}

/* On failure it is the caller's still. */
static int take_over(void *arg)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), r;
	an_listener *l;

	(void)arg;
	CHECK(fd >= 0);
	CHECK_EQUAL(listen(fd, 1), 0);
	r = an_listen_fd(fd, NULL, &l);
	if (r == 0)
		an_listener_close(l);
	else
		CHECK_EQUAL(close(fd), 0);
	return r;
}

/* A UNIX socket's both sides. */
static int connect_to_path(void *arg)
{
	an_listener *l;
	an_stream *s;
	int r = an_listen_unix(arg, NULL, &l);

	if (r < 0)
		return r;
	r = an_connect_unix(arg, NULL, &s);
	if (r == 0)
		an_stream_close(s);
	an_listener_close(l);
	return r;
}

TASK_TEST(listeners)
{
	char name[64];

	snprintf(name, sizeof name, "/tmp/asyncnet-memory-%d", (int)getpid());
	CHECK_EQUAL(fail_each(listen_any, NULL), 0);
	CHECK_EQUAL(fail_each(listen_any, "127.0.0.1"), 0);
	CHECK_EQUAL(fail_each(listen_path, name), 0);
	CHECK_EQUAL(fail_each(take_over, NULL), 0);
	CHECK_EQUAL(fail_each(connect_to_path, name), 0);
	CHECK(access(name, F_OK) < 0);
	return 0;
}

/* Both sides; a connection that only one side failed to take is closed by the other. */
static int connect_and_accept(void *arg)
{
	an_listener *l;
	an_stream *s, *t;
	char port[8];
	int r = an_listen("127.0.0.1", "0", NULL, &l);

	(void)arg;
	if (r < 0)
		return r;
	snprintf(port, sizeof port, "%u", an_listener_port(l));
	r = an_connect("localhost", port, NULL, &s);
	if (r == 0) {
		r = an_accept(l, &t);
		if (r == 0)
			an_stream_close(t);
		an_stream_close(s);
	}
	an_listener_close(l);
	return r;
}

TASK_TEST(connections)
{
	return fail_each(connect_and_accept, NULL);
}

static int disposals;

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

static void dispose(void *arg)
{
	(void)arg;
	disposals++;
}

static int offload(void *arg)
{
	int before = disposals, r = an_offload(nothing, arg, dispose);

	return disposals - before == (r < 0) ? r : CHECK_FAILED;
}

TASK_TEST(offloaded_calls)
{
	return fail_each(offload, NULL);
}

static int watch(void *arg)
{
	an_signal_watch *w;
	int r = an_signal_watch_new((const int[]){ SIGUSR1, SIGINT, 0 }, &w);

	(void)arg;
	if (r == 0)
		an_signal_watch_close(w);
	return r;
}

TASK_TEST(signals)
{
	return fail_each(watch, NULL);
}

static int open_file(void *arg)
{
	an_file *f;
	char byte;
	int r = an_file_open(arg, O_RDWR, 0, &f);

	if (r < 0)
		return r;
	r = an_file_pwrite(f, "x", 1, 0);
	if (r == 0)
		r = (int)an_file_pread(f, &byte, 0, 0);
	an_file_close(f);
	return r;
}

TASK_TEST(files)
{
	return fail_each(open_file, "/dev/null");
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(names),	   cmocka_unit_test(early_answers),
	cmocka_unit_test(listeners),	   cmocka_unit_test(connections),
	cmocka_unit_test(offloaded_calls), cmocka_unit_test(signals),
	cmocka_unit_test(files),
};

TEST_MAIN_WITH("net-memory", tests, count_libevent, NULL)
