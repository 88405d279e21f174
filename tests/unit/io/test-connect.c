/* Connecting on real loopback sockets: success, refusal, the race of addresses, full
 * queues, cancellation at each wait. The resolver's answers are the test's own. */
#include "loop/io/dns.h"
#include "tests/support/program.h"
#include "tests/support/run.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>

/* ---- a resolver of our own ------------------------------------------------------- */

static const char *const *answers; /* addresses in digits, NULL-terminated */

static int fake_getaddrinfo(const char *host, const char *service,
			    const struct addrinfo *hints, struct addrinfo **ret)
{
	struct addrinfo numeric = { .ai_flags = AI_NUMERICHOST,
				    .ai_socktype = SOCK_STREAM };
	struct addrinfo **end = ret;

	(void)host;
	(void)hints;
	for (size_t i = 0; answers[i]; i++) {
		if (getaddrinfo(answers[i], service, &numeric, end))
			return EAI_NONAME;
		end = &(*end)->ai_next;
	}
	return 0;
}

/* glibc frees a list node by node, so a list that was put together is as good. */
static int resolver(void **state)
{
	(void)state;
	an__dns_getaddrinfo = fake_getaddrinfo;
	return 0;
}

/* ---- parts ----------------------------------------------------------------------- */

static size_t open_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void port_text(unsigned port, char text[8])
{
	snprintf(text, 8, "%u", port);
}

static bool has_ipv6(void)
{
	an_address a;
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool good = fd >= 0 && an_address_parse("::1", "0", &a) == 0 &&
		    bind(fd, (struct sockaddr *)&a.storage, a.length) == 0;

	if (fd >= 0)
		close(fd);
	return good;
}

/* A port on which nobody listens and that nobody else is given: bound, and not
 * listening. */
static int closed_port(int *ret_fd, char text[8])
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0);
	CHECK_EQUAL(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	CHECK_EQUAL(getsockname(fd, (struct sockaddr *)&a, &length), 0);
	port_text(ntohs(a.sin_port), text);
	*ret_fd = fd;
	return 0;
}

/* A listener whose queue is full: the kernel drops the next SYN, so that a connect to
 * it hangs as to a machine that does not answer. */
struct blackhole {
	int fd, fillers[8];
	int count;
	char port[8];
};

static int blackhole_open(const char *address, unsigned port, struct blackhole *b)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons((uint16_t)port) };
	socklen_t length = sizeof a;

	*b = (struct blackhole){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
	CHECK(b->fd >= 0);
	inet_pton(AF_INET, address, &a.sin_addr);
	CHECK_EQUAL(bind(b->fd, (struct sockaddr *)&a, sizeof a), 0);
	CHECK_EQUAL(listen(b->fd, 0), 0);
	CHECK_EQUAL(getsockname(b->fd, (struct sockaddr *)&a, &length), 0);
	port_text(ntohs(a.sin_port), b->port);
	while (b->count < 8) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

		CHECK(fd >= 0);
		b->fillers[b->count++] = fd;
		if (connect(fd, (struct sockaddr *)&a, sizeof a) < 0 &&
		    b->count >= 3) /* the queue holds one more than asked for */
			break;
	}
	return 0;
}

static void blackhole_close(struct blackhole *b)
{
	for (int i = 0; i < b->count; i++)
		close(b->fillers[i]);
	close(b->fd);
}

struct call {
	const char *host, *service;
	an_connect_opts opts;
};

static int connect_task(void *arg)
{
	struct call *c = arg;
	an_stream *s;
	int r = an_connect(c->host, c->service, &c->opts, &s);

	if (r == 0)
		an_stream_close(s);
	return r;
}

/* ---- plain ----------------------------------------------------------------------- */

TASK_TEST(a_connection_carries_data_both_ways)
{
	an_listener *l;
	an_stream *s, *t;
	char port[8], buf[8];
	socklen_t size = sizeof(int);
	int on = 0;

	CHECK_EQUAL(an_listen("127.0.0.1", "0", NULL, &l), 0);
	port_text(an_listener_port(l), port);
	CHECK_EQUAL(an_connect("127.0.0.1", port, NULL, &s), 0);
	CHECK_EQUAL(an_accept(l, &t), 0);
	CHECK_EQUAL(an_stream_write(s, "ping", 4), 0);
	CHECK_EQUAL(an_stream_read_exactly(t, buf, 4), 0);
	CHECK(!memcmp(buf, "ping", 4));
	CHECK_EQUAL(an_stream_write(t, "pong", 4), 0);
	CHECK_EQUAL(an_stream_read_exactly(s, buf, 4), 0);
	CHECK(!memcmp(buf, "pong", 4));
	CHECK_EQUAL(getsockopt(an_stream_fd(s), IPPROTO_TCP, TCP_NODELAY, &on, &size), 0);
	CHECK(on);
	an_stream_close(s);
	an_stream_close(t);
	an_listener_close(l);
	return 0;
}

TASK_TEST(localhost_falls_through_to_ipv4)
{
	an_listener *l;
	an_stream *s;
	char port[8];

	CHECK_EQUAL(an_listen("127.0.0.1", "0", NULL, &l), 0);
	port_text(an_listener_port(l), port);
	CHECK_EQUAL(an_connect("localhost", port, NULL, &s), 0);
	an_stream_close(s);
	an_listener_close(l);
	return 0;
}

TASK_TEST(a_refused_connection_is_an_error_and_leaves_nothing_open)
{
	size_t before = open_descriptors();
	an_stream *s = NULL;
	char port[8];
	int fd;

	CHECK_EQUAL(closed_port(&fd, port), 0);
	CHECK_EQUAL(an_connect("127.0.0.1", port, NULL, &s), -ECONNREFUSED);
	CHECK_EQUAL(an_connect("localhost", port, NULL, &s), -ECONNREFUSED);
	CHECK(!s);
	close(fd);
	CHECK_EQUAL(open_descriptors(), before);
	return 0;
}

/* Answers whoever connects in plain text. */
static int answer_plainly(void *arg)
{
	an_stream *s;
	int r = an_accept(arg, &s);

	if (r < 0)
		return r;
	r = an_stream_write(s, "220 hello\r\n", 11);
	if (r == 0)
		r = an_stream_shutdown(s);
	an_stream_close(s);
	return r;
}

TASK_TEST(a_failure_is_told_in_words)
{
	const an_tls_opts trusting = { .no_verify = true };
	char text[64] = "untouched", port[8], tiny[5];
	an_connect_opts opts = { .error = text, .error_cap = sizeof text };
	an_listener *l;
	an_stream *s;
	an_task *task;
	int fd;

	CHECK_EQUAL(closed_port(&fd, port), 0);
	CHECK_EQUAL(an_connect("127.0.0.1", port, &opts, &s), -ECONNREFUSED);
	CHECK(strcmp(text, an_strerror(-ECONNREFUSED)) == 0);
	close(fd);
	CHECK_EQUAL(an_connect_unix("/nowhere/at/all", &opts, &s), -ENOENT);
	CHECK(strcmp(text, an_strerror(-ENOENT)) == 0);
	opts.error = tiny;
	opts.error_cap = sizeof tiny;
	CHECK_EQUAL(an_connect_unix("/nowhere/at/all", &opts, &s), -ENOENT);
	CHECK_EQUAL(strlen(tiny), 4);

	CHECK_EQUAL(an_listen("127.0.0.1", "0", NULL, &l), 0);
	port_text(an_listener_port(l), port);
	CHECK_EQUAL(an_spawn(answer_plainly, l, NULL, &task), 0);
	opts = (an_connect_opts){ .error = text, .error_cap = sizeof text };
	CHECK_EQUAL(an_tls_new(&trusting, NULL, 0, &opts.tls), 0);
	CHECK_EQUAL(an_connect("127.0.0.1", port, &opts, &s), AN_ERR_TLS);
	CHECK(*text && strcmp(text, an_strerror(AN_ERR_TLS)) != 0);
	CHECK_EQUAL(an_join(task, NULL), 0);
	an_tls_free(opts.tls);
	an_listener_close(l);
	return 0;
}

TASK_TEST(the_local_address_can_be_chosen)
{
	an_connect_opts opts = { .bind_host = "127.0.0.2" };
	an_listener *l;
	an_stream *s;
	char port[8], text[64];

	CHECK_EQUAL(an_listen("127.0.0.1", "0", NULL, &l), 0);
	port_text(an_listener_port(l), port);
	CHECK_EQUAL(an_connect("127.0.0.1", port, &opts, &s), 0);
	CHECK_EQUAL(an_stream_local_address(s, text, sizeof text), 0);
	CHECK(!strncmp(text, "127.0.0.2:", 10));
	an_stream_close(s);
	opts.bind_host = "::1";
	CHECK_EQUAL(an_connect("127.0.0.1", port, &opts, &s), -EADDRNOTAVAIL);
	opts.bind_host = "a-name";
	CHECK_EQUAL(an_connect("127.0.0.1", port, &opts, &s), AN_ERR_NAME);
	an_listener_close(l);
	return 0;
}

TASK_TEST(the_resolvers_error_is_returned)
{
	static const char *const nothing[] = { "no digits", NULL };
	an_stream *s;

	answers = nothing;
	CHECK_EQUAL(an_connect("a.test", "80", NULL, &s), AN_ERR_NAME);
	CHECK_EQUAL(an_connect("", "80", NULL, &s), -EINVAL);
	return 0;
}

static void outside_a_task_it_is_an_error(void **state)
{
	an_stream *s;

	(void)state;
	assert_int_equal(an_connect("127.0.0.1", "80", NULL, &s), AN_ERR_NO_TASK);
	assert_int_equal(an_connect_unix("/x", NULL, &s), AN_ERR_NO_TASK);
}

/* ---- the race -------------------------------------------------------------------- */

/* The clock is virtual: it jumps over the delays, and shows them. */

TASK_TEST(an_address_that_does_not_answer_is_overtaken_after_the_delay)
{
	static const char *const two[] = { "127.0.0.2", "127.0.0.1", NULL };
	size_t before = open_descriptors(), during;
	struct blackhole b;
	an_duration start;
	an_listener *l;
	an_stream *s;
	char text[64];

	CHECK_EQUAL(an_listen("127.0.0.1", "0", NULL, &l), 0);
	CHECK_EQUAL(blackhole_open("127.0.0.2", an_listener_port(l), &b), 0);
	answers = two;
	during = open_descriptors();
	start = an_now();
	CHECK_EQUAL(an_connect("overtaken.test", b.port, NULL, &s), 0);
	CHECK_EQUAL(an_now() - start, 250 * AN_MILLISECOND);
	CHECK_EQUAL(an_stream_peer_address(s, text, sizeof text), 0);
	CHECK(!strncmp(text, "127.0.0.1:", 10));
	/* the loser is closed */
	CHECK_EQUAL(open_descriptors(), during + 1);
	an_stream_close(s);
	blackhole_close(&b);
	an_listener_close(l);
	CHECK_EQUAL(open_descriptors(), before);
	return 0;
}

TASK_TEST(a_delay_without_end_lets_no_other_begin_beside)
{
	static const char *const two[] = { "127.0.0.2", "127.0.0.1", NULL };
	an_connect_opts opts = { .timeout = AN_SECOND, .attempt_delay = AN_FOREVER };
	struct blackhole b;
	an_listener *l;
	an_stream *s;

	CHECK_EQUAL(an_sleep(AN_SECOND), 0); /* the clock stands at 0 before */
	CHECK_EQUAL(an_listen("127.0.0.1", "0", NULL, &l), 0);
	CHECK_EQUAL(blackhole_open("127.0.0.2", an_listener_port(l), &b), 0);
	answers = two;
	CHECK_EQUAL(an_connect("alone.test", b.port, &opts, &s), -ETIMEDOUT);
	blackhole_close(&b);
	an_listener_close(l);
	return 0;
}

TASK_TEST(a_failure_starts_the_next_at_once)
{
	static const char *const three[] = { "127.0.0.3", "127.0.0.2", "127.0.0.1",
					     NULL };
	an_duration start;
	an_listener *l;
	an_stream *s;
	char port[8];

	CHECK_EQUAL(an_listen("127.0.0.1", "0", NULL, &l), 0);
	port_text(an_listener_port(l), port);
	answers = three;
	start = an_now();
	CHECK_EQUAL(an_connect("refused.test", port, NULL, &s), 0);
	CHECK_EQUAL(an_now() - start, 0);
	an_stream_close(s);
	an_listener_close(l);
	return 0;
}

TASK_TEST(families_alternate)
{
	/* The third answer is tried second: its family's turn. */
	static const char *const mixed[] = { "127.0.0.2", "127.0.0.3", "::1", NULL };
	struct blackhole b, c;
	an_duration start;
	an_listener *l;
	an_stream *s;
	char text[64];

	if (an_listen("::1", "0", &(an_listen_opts){ .ipv6_only = true }, &l) < 0)
		return 0; /* no IPv6 here */
	CHECK_EQUAL(blackhole_open("127.0.0.2", an_listener_port(l), &b), 0);
	CHECK_EQUAL(blackhole_open("127.0.0.3", an_listener_port(l), &c), 0);
	answers = mixed;
	start = an_now();
	CHECK_EQUAL(an_connect("mixed.test", b.port, NULL, &s), 0);
	CHECK_EQUAL(an_now() - start, 250 * AN_MILLISECOND);
	CHECK_EQUAL(an_stream_peer_address(s, text, sizeof text), 0);
	CHECK(!strncmp(text, "[::1]:", 6));
	an_stream_close(s);
	blackhole_close(&b);
	blackhole_close(&c);
	an_listener_close(l);
	return 0;
}

TASK_TEST(when_nobody_answers_the_limit_ends_it)
{
	static const char *const two[] = { "127.0.0.2", "127.0.0.2", NULL };
	size_t before = open_descriptors();
	struct blackhole b;
	an_duration start = an_now();
	an_stream *s;

	CHECK_EQUAL(blackhole_open("127.0.0.2", 0, &b), 0);
	answers = two;
	CHECK_EQUAL(an_connect("127.0.0.2", b.port, NULL, &s), -ETIMEDOUT);
	CHECK_EQUAL(an_now() - start, 10 * AN_SECOND);
	start = an_now();
	CHECK_EQUAL(an_connect("both.test", b.port,
			       &(an_connect_opts){ .timeout = 3 * AN_SECOND }, &s),
		    -ETIMEDOUT);
	CHECK_EQUAL(an_now() - start, 3 * AN_SECOND);
	blackhole_close(&b);
	CHECK_EQUAL(open_descriptors(), before);
	return 0;
}

TASK_TEST(an_outer_limit_is_the_outer_scopes)
{
	struct blackhole b;
	an_timeout t;
	an_stream *s;

	CHECK_EQUAL(blackhole_open("127.0.0.2", 0, &b), 0);
	an_timeout_begin(&t, AN_SECOND);
	CHECK_EQUAL(an_connect("127.0.0.2", b.port, NULL, &s), -ECANCELED);
	CHECK_EQUAL(an_timeout_end(&t, -ECANCELED), -ETIMEDOUT);
	blackhole_close(&b);
	return 0;
}

TASK_TEST(the_first_servers_error_is_told_not_this_machines)
{
	static const char *const two[] = { "255.255.255.255", "127.0.0.1", NULL };
	an_stream *s;
	char port[8];
	int fd;

	CHECK_EQUAL(closed_port(&fd, port), 0);
	answers = two;
	CHECK_EQUAL(an_connect("error.test", port, NULL, &s), -ECONNREFUSED);
	close(fd);
	return 0;
}

/* ---- one family ------------------------------------------------------------------ */

static atomic_bool whole_answer_held;
static sem_t whole_answer;
static bool six_first; /* IPv6 is the family that answers alone */

/* The answer for both families is another address, and does not come before it is
 * released. */
static int slow_getaddrinfo(const char *host, const char *service,
			    const struct addrinfo *hints, struct addrinfo **ret)
{
	struct addrinfo numeric = { .ai_flags = AI_NUMERICHOST,
				    .ai_socktype = SOCK_STREAM };

	(void)host;
	if (hints->ai_family == AF_UNSPEC)
		while (atomic_load(&whole_answer_held) && sem_wait(&whole_answer) < 0)
			;
	else if (hints->ai_family != (six_first ? AF_INET6 : AF_INET))
		return EAI_NONAME;
	else
		return getaddrinfo(six_first ? "::1" : "127.0.0.2", service, &numeric,
				   ret);
	return getaddrinfo("127.0.0.1", service, &numeric, ret);
}

/* On the real clock: the virtual one stands still while a name is asked for. */
static int connect_by_one_family(void *arg)
{
	an_connect_opts opts = { .attempt_delay = AN_MILLISECOND };
	an_listener *l;
	an_stream *s;
	char port[8];

	(void)arg;
	CHECK_EQUAL(an_listen(six_first ? "::1" : "127.0.0.2", "0", NULL, &l), 0);
	port_text(an_listener_port(l), port);
	CHECK_EQUAL(an_connect("slow.test", port, &opts, &s), 0);
	an_stream_close(s);
	/* Known by now. */
	CHECK_EQUAL(an_connect("slow.test", port, &opts, &s), 0);
	an_stream_close(s);
	an_listener_close(l);
	/* When that is of no use the whole answer is waited for. */
	CHECK_EQUAL(an_listen("127.0.0.1", port, NULL, &l), 0);
	sem_post(&whole_answer);
	CHECK_EQUAL(an_connect("slow.test", port, &opts, &s), 0);
	an_stream_close(s);
	an_listener_close(l);
	CHECK_EQUAL(an_connect("slow.test", port, &opts, &s), -ECONNREFUSED);
	return 0;
}

static void one_families_answer_is_enough_to_connect(void **state)
{
	(void)state;
	an__dns_getaddrinfo = slow_getaddrinfo;
	atomic_store(&whole_answer_held, true);
	sem_init(&whole_answer, 0, 0);
	for (int i = 0; i < (has_ipv6() ? 2 : 1); i++) {
		six_first = i;
		assert_int_equal(an_run(connect_by_one_family, NULL, NULL), 0);
	}
}

static int leave_a_slow_name(void *arg)
{
	an_connect_opts opts = { .attempt_delay = AN_MILLISECOND };
	an_timeout limit;
	an_stream *s;

	(void)arg;
	six_first = true; /* nobody knows of IPv4 */
	opts.family = AF_INET;
	CHECK_EQUAL(an_connect("slow.test", "1", &opts, &s), AN_ERR_NAME);
	opts.family = AF_UNSPEC;
	six_first = false;
	/* Nobody listens to that port: the second race waits for the whole. */
	an_timeout_begin(&limit, 20 * AN_MILLISECOND);
	CHECK_EQUAL(an_timeout_end(&limit, an_connect("slow.test", "1", &opts, &s)),
		    -ETIMEDOUT);
	return 0;
}

static void an_asker_of_a_slow_name_can_leave(void **state)
{
	(void)state;
	an__dns_getaddrinfo = slow_getaddrinfo;
	atomic_store(&whole_answer_held, true);
	sem_init(&whole_answer, 0, 0);
	assert_int_equal(an_run(leave_a_slow_name, NULL, NULL), 0);
	sem_post(&whole_answer);
}

TASK_TEST(digits_and_localhost_are_of_a_family)
{
	an_connect_opts four = { .family = AF_INET }, six = { .family = AF_INET6 };
	an_connect_opts none = { .family = AF_UNIX };
	an_listener *l;
	an_stream *s;
	char port[8], text[64];

	CHECK_EQUAL(an_listen("", "0", NULL, &l), 0);
	port_text(an_listener_port(l), port);
	CHECK_EQUAL(an_connect("localhost", port, &four, &s), 0);
	CHECK_EQUAL(an_stream_peer_address(s, text, sizeof text), 0);
	CHECK(!strncmp(text, "127.0.0.1:", 10));
	an_stream_close(s);
	if (has_ipv6()) {
		CHECK_EQUAL(an_connect("localhost", port, &six, &s), 0);
		CHECK_EQUAL(an_stream_peer_address(s, text, sizeof text), 0);
		CHECK(!strncmp(text, "[::1]:", 6));
		an_stream_close(s);
	}
	CHECK_EQUAL(an_connect("127.0.0.1", port, &six, &s), AN_ERR_NAME);
	CHECK_EQUAL(an_connect("::1", port, &four, &s), AN_ERR_NAME);
	CHECK_EQUAL(an_connect("127.0.0.1", port, &none, &s), -EAFNOSUPPORT);
	an_listener_close(l);
	return 0;
}

/* ---- this machine's faults ------------------------------------------------------- */

TASK_TEST(a_local_address_that_is_not_this_machines_is_an_error)
{
	an_connect_opts opts = { .bind_host = "192.0.2.1" };
	size_t before = open_descriptors();
	an_stream *s;

	CHECK_EQUAL(an_connect("127.0.0.1", "1", &opts, &s), -EADDRNOTAVAIL);
	opts.bind_host = "";
	CHECK_EQUAL(an_connect("127.0.0.1", "1", &opts, &s), -EINVAL);
	CHECK_EQUAL(open_descriptors(), before);
	return 0;
}

TASK_TEST(without_descriptors_there_is_no_connection)
{
	struct rlimit old, few;
	an_listener *l;
	an_stream *s;
	char port[8], name[64];
	int spare, both[2];

	snprintf(name, sizeof name, "@asyncnet-few-%d", (int)getpid());
	CHECK_EQUAL(an_listen("127.0.0.1", "0", NULL, &l), 0);
	port_text(an_listener_port(l), port);
	spare = dup(0);
	CHECK(spare >= 0);
	CHECK_EQUAL(getrlimit(RLIMIT_NOFILE, &old), 0);
	few = old;
	few.rlim_cur = (rlim_t)spare + 1;
	CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &few), 0);
	both[0] = an_connect("localhost", port, NULL, &s);
	both[1] = an_connect_unix(name, NULL, &s);
	close(spare);
	/* One is enough. */
	CHECK_EQUAL(an_connect("127.0.0.1", port, NULL, &s), 0);
	CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &old), 0);
	CHECK_EQUAL(both[0], -EMFILE);
	CHECK_EQUAL(both[1], -EMFILE);
	an_stream_close(s);
	an_listener_close(l);
	return 0;
}

/* A task is cancelled after n yields of another: before it starts, while it resolves,
 * while it races, after it is done. Nothing may leak in any case. */
TASK_TEST(a_cancellation_at_any_point_leaks_nothing)
{
	static const char *const two[] = { "127.0.0.2", "127.0.0.1", NULL };
	struct blackhole b;
	an_listener *l;
	int succeeded = 0, cancelled = 0;

	CHECK_EQUAL(an_listen("127.0.0.1", "0", NULL, &l), 0);
	CHECK_EQUAL(blackhole_open("127.0.0.2", an_listener_port(l), &b), 0);
	answers = two;
	for (int n = 0; n < 60; n++) {
		size_t before = open_descriptors();
		char name[32];
		struct call c = { .host = name,
				  .service = b.port,
				  .opts.attempt_delay = 10 * AN_MILLISECOND };
		an_task *t;
		int result;

		snprintf(name, sizeof name, "n%d.test", n);
		CHECK_EQUAL(an_spawn(connect_task, &c, NULL, &t), 0);
		if (n < 30)
			for (int i = 0; i < n; i++)
				CHECK_EQUAL(an_yield(), 0);
		else
			CHECK_EQUAL(an_sleep((n - 30) * AN_MILLISECOND), 0);
		an_cancel(t);
		CHECK_EQUAL(an_join(t, &result), 0);
		CHECK(result == 0 || result == -ECANCELED);
		succeeded += result == 0;
		cancelled += result == -ECANCELED;
		CHECK_EQUAL(open_descriptors(), before);
	}
	CHECK(cancelled >= 10);
	CHECK(succeeded >= 5);
	blackhole_close(&b);
	an_listener_close(l);
	return 0;
}

/* ---- UNIX sockets ---------------------------------------------------------------- */

static char folder[] = "/tmp/asyncnet-connect-XXXXXX";
static char path[64];

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof path, "%s/socket", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

static int unix_both(const char *name)
{
	an_listener *l;
	an_stream *s, *t;
	char byte;

	CHECK_EQUAL(an_listen_unix(name, NULL, &l), 0);
	CHECK_EQUAL(an_connect_unix(name, NULL, &s), 0);
	CHECK_EQUAL(an_accept(l, &t), 0);
	CHECK_EQUAL(an_stream_write(s, "u", 1), 0);
	CHECK_EQUAL(an_stream_read(t, &byte, 1), 1);
	CHECK_EQUAL(byte, 'u');
	an_stream_close(s);
	an_stream_close(t);
	an_listener_close(l);
	return 0;
}

TASK_TEST(unix_sockets_connect_by_path_and_by_abstract_name)
{
	char name[64];

	snprintf(name, sizeof name, "@asyncnet-connect-%d", (int)getpid());
	CHECK_EQUAL(unix_both(path), 0);
	CHECK_EQUAL(unix_both(name), 0);
	return 0;
}

TASK_TEST(unix_errors_are_told)
{
	an_stream *s;

	CHECK_EQUAL(an_connect_unix(path, NULL, &s), -ENOENT);
	CHECK_EQUAL(an_connect_unix("", NULL, &s), -EINVAL);
	CHECK_EQUAL(an_connect_unix("@asyncnet-nobody-listens", NULL, &s), -ECONNREFUSED);
	return 0;
}

static int accept_later(void *arg)
{
	an_stream *s;
	int r = an_sleep(AN_SECOND);

	if (r == 0)
		r = an_accept(arg, &s);
	if (r == 0)
		an_stream_close(s);
	return r;
}

TASK_TEST(a_full_unix_queue_is_waited_for)
{
	an_listen_opts opts = { .backlog = 1 };
	size_t before = open_descriptors();
	an_stream *s[2], *t;
	an_listener *l;
	an_task *server;
	an_duration start;

	CHECK_EQUAL(an_listen_unix(path, &opts, &l), 0);
	CHECK_EQUAL(an_connect_unix(path, NULL, &s[0]), 0);
	CHECK_EQUAL(an_connect_unix(path, NULL, &s[1]), 0);
	start = an_now();
	CHECK_EQUAL(an_connect_unix(path, NULL, &t), -ETIMEDOUT);
	CHECK_EQUAL(an_now() - start, 10 * AN_SECOND);
	CHECK_EQUAL(an_spawn(accept_later, l, NULL, &server), 0);
	start = an_now();
	CHECK_EQUAL(an_connect_unix(path, NULL, &t), 0);
	CHECK(an_now() - start >= AN_SECOND);
	CHECK_EQUAL(an_join(server, NULL), 0);
	an_stream_close(t);
	an_stream_close(s[0]);
	an_stream_close(s[1]);
	an_listener_close(l);
	CHECK_EQUAL(open_descriptors(), before);
	return 0;
}

/* ---- cancelled at each step ------------------------------------------------------ */

static an_listener *full;
static an_stream *in_queue[2];
static an_task *acceptor;

static int fill_a_queue(void *arg)
{
	an_listen_opts opts = { .backlog = 1 };

	CHECK_EQUAL(an_listen_unix(arg, &opts, &full), 0);
	for (int i = 0; i < 2; i++)
		CHECK_EQUAL(an_connect_unix(arg, NULL, &in_queue[i]), 0);
	return an_spawn(accept_later, full, NULL, &acceptor);
}

static int connect_to_path(void *arg)
{
	an_stream *s;
	int r = an_connect_unix(arg, NULL, &s);

	if (r == 0)
		an_stream_close(s);
	return r;
}

static int close_the_queue(void *arg)
{
	(void)arg;
	an_cancel(acceptor);
	CHECK_EQUAL(an_join(acceptor, NULL), 0);
	an_listener_close(full);
	an_stream_close(in_queue[0]);
	an_stream_close(in_queue[1]);
	return 0;
}

CANCEL_TEST(a_wait_for_a_full_unix_queue_can_be_cancelled, fill_a_queue, connect_to_path,
	    close_the_queue, path)

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_connection_carries_data_both_ways),
	cmocka_unit_test(localhost_falls_through_to_ipv4),
	cmocka_unit_test(a_refused_connection_is_an_error_and_leaves_nothing_open),
	cmocka_unit_test(a_failure_is_told_in_words),
	cmocka_unit_test(the_local_address_can_be_chosen),
	cmocka_unit_test_setup(the_resolvers_error_is_returned, resolver),
	cmocka_unit_test(outside_a_task_it_is_an_error),
	cmocka_unit_test_setup(
		an_address_that_does_not_answer_is_overtaken_after_the_delay, resolver),
	cmocka_unit_test_setup(a_delay_without_end_lets_no_other_begin_beside, resolver),
	cmocka_unit_test_setup(a_failure_starts_the_next_at_once, resolver),
	cmocka_unit_test_setup(families_alternate, resolver),
	cmocka_unit_test_setup(when_nobody_answers_the_limit_ends_it, resolver),
	cmocka_unit_test(an_outer_limit_is_the_outer_scopes),
	cmocka_unit_test_setup(the_first_servers_error_is_told_not_this_machines,
			       resolver),
	cmocka_unit_test(one_families_answer_is_enough_to_connect),
	cmocka_unit_test(an_asker_of_a_slow_name_can_leave),
	cmocka_unit_test(digits_and_localhost_are_of_a_family),
	cmocka_unit_test(a_local_address_that_is_not_this_machines_is_an_error),
	cmocka_unit_test(without_descriptors_there_is_no_connection),
	cmocka_unit_test_setup(a_cancellation_at_any_point_leaks_nothing, resolver),
	cmocka_unit_test(unix_sockets_connect_by_path_and_by_abstract_name),
	cmocka_unit_test(unix_errors_are_told),
	cmocka_unit_test(a_full_unix_queue_is_waited_for),
	cmocka_unit_test(a_wait_for_a_full_unix_queue_can_be_cancelled),
};

TEST_MAIN_WITH("connect", tests, make_folder, remove_folder)
