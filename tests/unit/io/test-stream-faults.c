/* Streams on bad days: each system call of a conversation fails once, or does less than
 * asked; peers vanish; terminals hang up; descriptors run out. */
#include "config.h"

#include "tests/support/certs.h"
#include "tests/support/faults.h"
#include "tests/support/libevent-memory.h"
#include "tests/support/pairs.h"
#include "tests/support/program.h"
#include "tests/support/run.h"
#include "tests/unit/io/tls-ends.h"

#include "loop/io/stream-private.h"

#include <asyncnet/file.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- a conversation ---------------------------------------------------------------- */

enum { LARGE = 40000, ROUND = 3 + 6000 + LARGE, ROUNDS = 4, BLOCK = 20000 };

static char large[LARGE], got[ROUNDS * ROUND];

static int say_round(an_stream *s)
{
	const struct iovec iov[] = { { large, 1 }, { large + 1, 2 } };
	int r = an_stream_writev(s, iov, 2);

	if (r == 0)
		r = an_stream_drain(s);
	if (r == 0)
		r = an_stream_write_ref(s, large + 3, 6000, NULL, NULL);
	if (r == 0)
		r = an_stream_write(s, large, LARGE);
	return r;
}

/* What the one side says, in every way there is. */
static int say(an_stream *s)
{
	int r = 0;

	for (int i = 0; i < ROUNDS && r == 0; i++)
		r = say_round(s);
	if (r == 0)
		r = an_stream_shutdown(s);
	if (r < 0)
		CHECK_EQUAL(an_stream_write(s, "x", 1), r);
	return r;
}

static int hear(an_stream *s)
{
	const char *data;
	size_t n;
	int r = an_stream_read_line(s, &data, &n);

	if (r < 0)
		return r;
	CHECK(n == 5 && memcmp(data, "line\n", 5) == 0);
	r = an_stream_read_exactly(s, got, BLOCK);
	if (r < 0)
		return r;
	CHECK(memcmp(got, large, BLOCK) == 0);
	r = an_stream_read_until(s, "||", 2, &data, &n);
	if (r < 0)
		return r;
	CHECK(n == 4 && memcmp(data, "ab||", 4) == 0);
	CHECK(!an_stream_at_eof(s));
	r = (int)an_stream_read(s, got, 10);
	if (r < 0)
		return r;
	CHECK(r > 0 && r <= 4 && memcmp(got, "rest", (size_t)r) == 0);
	while (r > 0)
		r = (int)an_stream_read(s, got, 10);
	CHECK(an_stream_at_eof(s) == (r == 0));
	return r;
}

/* The other side, to which nothing happens by itself. */
struct peer {
	an_stream *s;
	size_t heard;
	int result;
};

static int be_peer(void *arg)
{
	struct peer *p = arg;
	ssize_t n = 1;
	int r = an_stream_write(p->s, "line\n", 5);

	if (r == 0)
		r = an_stream_write(p->s, large, BLOCK);
	if (r == 0)
		r = an_stream_write(p->s, "ab||rest", 8);
	if (r == 0)
		r = an_stream_shutdown(p->s);
	while (n > 0) {
		n = an_stream_read(p->s, got + p->heard, sizeof got - p->heard);
		p->heard += n > 0 ? (size_t)n : 0;
		if (p->heard == sizeof got)
			break;
	}
	p->result = r;
	return 0;
}

/* What was heard is the front of what was said. */
static int check_heard(const struct peer *p)
{
	for (size_t i = 0; i < p->heard; i++) {
		size_t at = i % ROUND;

		CHECK_EQUAL(got[i], large[at < 6003 ? at : at - 6003]);
	}
	return 0;
}

/* First it talks, then it listens; `got` is used by one at a time. */
static int converse(an_stream *s, an_stream *other)
{
	struct peer p = { .s = other };
	an_task *task;
	int said, heard;

	CHECK_EQUAL(an_spawn(be_peer, &p, NULL, &task), 0);
	said = say(s);
	CHECK(said != CHECK_FAILED);
	if (said < 0) {
		an_stream_abort(s);
		CHECK_EQUAL(an_join(task, NULL), 0);
		CHECK_EQUAL(check_heard(&p), 0);
		return said;
	}
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(p.result, 0);
	CHECK_EQUAL(p.heard, sizeof got);
	CHECK_EQUAL(check_heard(&p), 0);
	heard = hear(s);
	CHECK(heard != CHECK_FAILED);
	/* Behind what came before it the error stays. */
	for (ssize_t n = heard < 0; n != heard;) {
		n = an_stream_read(s, got, sizeof got);
		CHECK(n > 0 || n == heard);
	}
	an_stream_close(s);
	return heard;
}

static int prepare_buffers(an_stream *s, an_stream *other)
{
	/* Small enough that both have to wait, large enough for the answer. */
	const an_socket_opts o = { .send_buffer = 8000 };

	CHECK_EQUAL(an_stream_set_socket(s, &o), 0);
	CHECK_EQUAL(
		an_stream_set_socket(other, &(an_socket_opts){ .send_buffer = 150000 }),
		0);
	return 0;
}

static int converse_plain(unsigned nth, int what, bool *ret_hit)
{
	an_stream *s, *other;
	int fd, r;

	CHECK_EQUAL(socket_pair(SOCK_STREAM, NULL, &s, &fd), 0);
	CHECK_EQUAL(an_stream_new(fd, NULL, &other), 0);
	CHECK_EQUAL(prepare_buffers(s, other), 0);
	fault_arm(an_stream_fd(s), nth, what);
	r = converse(s, other);
	*ret_hit = fault_disarm();
	an_stream_close(other);
	return r;
}

typedef int (*conversation)(unsigned nth, int what, bool *ret_hit);

/* `what` at each call in turn. Returns the number of calls. */
static int at_each_call(conversation c, int what, bool harmless)
{
	bool hit = true;
	unsigned n;

	for (n = 1; hit; n++) {
		int r = c(n, what, &hit);

		if (r == 0 && (harmless || !hit || what > 0))
			continue;
		if (harmless || r != -what) {
			fprintf(stderr, "call %u, %s: %d\n", n,
				what > 0 ? strerrorname_np(what) : "short", r);
			return CHECK_FAILED;
		}
	}
	return (int)n;
}

static const int harmless[] = { EINTR, EAGAIN, FAULT_SHORT };
static const int harmful[] = { EIO, ECONNRESET, ENOBUFS, ENOMEM, ETIMEDOUT };

TASK_TEST(a_conversation_does_not_notice_short_counts_and_interruptions)
{
	fill_pattern(large, LARGE, 11);
	for (size_t i = 0; i < sizeof harmless / sizeof harmless[0]; i++)
		CHECK(at_each_call(converse_plain, harmless[i], true) > 15);
	return 0;
}

TASK_TEST(an_error_of_any_call_ends_its_side_and_sticks)
{
	fill_pattern(large, LARGE, 12);
	for (size_t i = 0; i < sizeof harmful / sizeof harmful[0]; i++)
		CHECK(at_each_call(converse_plain, harmful[i], false) > 15);
	return 0;
}

static int converse_tls(unsigned nth, int what, bool *ret_hit)
{
	struct ends e = { 0 };
	an_task *task;
	int r;

	CHECK_EQUAL(pair(&e), 0);
	CHECK_EQUAL(prepare_buffers(e.client, e.server), 0);
	CHECK_EQUAL(contexts(&e, NULL, NULL), 0);
	fault_arm(an_stream_fd(e.client), nth, what);
	CHECK_EQUAL(an_spawn(accept_tls, &e, NULL, &task), 0);
	r = an_stream_start_tls(e.client, e.client_tls, e.host);
	if (r < 0)
		an_stream_close(e.client);
	CHECK_EQUAL(an_join(task, NULL), 0);
	if (r == 0)
		r = converse(e.client, e.server);
	*ret_hit = fault_disarm();
	an_stream_close(e.server);
	free_contexts(&e);
	return r;
}

TASK_TEST(nor_does_one_over_tls)
{
	fill_pattern(large, LARGE, 13);
	for (size_t i = 0; i < sizeof harmless / sizeof harmless[0]; i++)
		CHECK(at_each_call(converse_tls, harmless[i], true) > 15);
	return 0;
}

TASK_TEST(over_tls_an_error_of_any_call_is_told_as_it_is)
{
	fill_pattern(large, LARGE, 14);
	for (size_t i = 0; i < sizeof harmful / sizeof harmful[0]; i++)
		CHECK(at_each_call(converse_tls, harmful[i], false) > 15);
	return 0;
}

/* ---- files ------------------------------------------------------------------------- */

/* A stream over a file, which a worker writes. Returns what its drain did. */
static int write_a_file(unsigned nth, int what, bool *ret_hit)
{
	char path[] = "/tmp/asyncnet-XXXXXX";
	int look = mkstemp(path), fd = open(path, O_WRONLY | O_CLOEXEC), r = 0;
	an_stream *s;
	ssize_t n;

	unlink(path);
	CHECK(look >= 0 && fd >= 0);
	CHECK_EQUAL(an__stream_new_file(fd, NULL, &s), 0);
	fault_arm(fd, nth, what);
	for (int i = 0; i < 4 && r == 0; i++) {
		r = an_stream_write(s, large + i * (LARGE / 4), LARGE / 4);
		if (r == 0)
			r = an_stream_drain(s);
	}
	*ret_hit = fault_disarm();
	if (r < 0)
		CHECK_EQUAL(an_stream_drain(s), r);
	an_stream_close(s);
	n = read(look, got, sizeof got);
	close(look);
	CHECK(n >= 0 && memcmp(got, large, (size_t)n) == 0);
	CHECK(r < 0 || n == LARGE);
	return r;
}

TASK_TEST(a_file_is_written_whole_or_the_error_is_told)
{
	fill_pattern(large, LARGE, 15);
	CHECK(at_each_call(write_a_file, EINTR, true) > 4);
	CHECK(at_each_call(write_a_file, FAULT_SHORT, true) > 4);
	CHECK(at_each_call(write_a_file, ENOSPC, false) > 4);
	CHECK(at_each_call(write_a_file, EIO, false) > 4);
	return 0;
}

/* ---- SIGPIPE ----------------------------------------------------------------------- */

/* Writes in every way until the loss of the peer is told; the process lives on. */
static int write_into_the_void(an_stream *s)
{
	int r = an_stream_write(s, "x", 1);

	for (int i = 0; i < 100 && r == 0; i++) {
		r = an_stream_drain(s);
		if (r == 0)
			r = an_sleep(1);
		if (r == 0)
			r = an_stream_write_ref(s, large, 50000, NULL, NULL);
	}
	CHECK(r == -EPIPE || r == -ECONNRESET);
	CHECK_EQUAL(an_stream_write_nowait(s, "x", 1), r);
	an_stream_close(s);
	return 0;
}

TASK_TEST(a_lost_peer_is_no_signal_on_any_kind_of_stream)
{
	struct ends e = { 0 };
	an_stream *s;
	an_file *f;
	int fd, pipes[2];

	CHECK_EQUAL(tcp_pair(&s, &fd), 0);
	reset(fd);
	CHECK_EQUAL(write_into_the_void(s), 0);
	CHECK_EQUAL(socket_pair(SOCK_STREAM, NULL, &s, &fd), 0);
	close(fd);
	CHECK_EQUAL(write_into_the_void(s), 0);
	CHECK_EQUAL(pipe(pipes), 0);
	CHECK_EQUAL(an_stream_new(pipes[1], NULL, &s), 0);
	close(pipes[0]);
	CHECK_EQUAL(write_into_the_void(s), 0);
	CHECK_EQUAL(contexts(&e, NULL, NULL), 0);
	CHECK_EQUAL(shake(&e), 0);
	an_stream_abort(e.server);
	CHECK_EQUAL(write_into_the_void(e.client), 0);
	free_contexts(&e);

	/* sendfile() has no flag against it. */
	CHECK_EQUAL(socket_pair(SOCK_STREAM, NULL, &s, &fd), 0);
	close(fd);
	CHECK_EQUAL(an_file_open("/proc/self/exe", O_RDONLY, 0, &f), 0);
	CHECK_EQUAL(an_stream_send_file(s, f, 0, SIZE_MAX), -EPIPE);
	an_file_close(f);
	an_stream_close(s);
	return 0;
}

/* ---- terminals --------------------------------------------------------------------- */

static int terminal(an_stream **ret_master, an_stream **ret_slave)
{
	int m = posix_openpt(O_RDWR | O_NOCTTY), s;
	char name[64];

	CHECK(m >= 0);
	CHECK_EQUAL(grantpt(m), 0);
	CHECK_EQUAL(unlockpt(m), 0);
	CHECK_EQUAL(ptsname_r(m, name, sizeof name), 0);
	s = open(name, O_RDWR | O_NOCTTY);
	CHECK(s >= 0);
	CHECK_EQUAL(an_stream_new(m, NULL, ret_master), 0);
	CHECK_EQUAL(an_stream_new(s, NULL, ret_slave), 0);
	return 0;
}

TASK_TEST(a_terminal_is_a_stream_and_its_hang_up_an_end)
{
	an_stream *master, *slave;
	const char *data;
	char buf[100];
	size_t n;

	CHECK_EQUAL(terminal(&master, &slave), 0);
	CHECK_EQUAL(an_stream_write(master, "typed\n", 6), 0);
	CHECK_EQUAL(an_stream_read_line(slave, &data, &n), 0);
	CHECK(n == 6 && memcmp(data, "typed\n", 6) == 0);
	/* The echo, and what the program says. */
	CHECK_EQUAL(an_stream_write(slave, "said\n", 5), 0);
	CHECK_EQUAL(an_stream_read_until(master, "said\r\n", 6, &data, &n), 0);
	CHECK(n == 13 && memcmp(data, "typed\r\nsaid\r\n", 13) == 0);
	CHECK_EQUAL(an_stream_peer_address(slave, buf, sizeof buf), -ENOTSOCK);

	CHECK_EQUAL(an_stream_write(slave, "last", 4), 0);
	CHECK_EQUAL(an_stream_drain(slave), 0);
	an_stream_close(slave);
	CHECK_EQUAL(an_stream_read(master, buf, sizeof buf), 4);
	CHECK_EQUAL(an_stream_read(master, buf, sizeof buf), 0);
	CHECK(an_stream_at_eof(master));
	CHECK(strcmp(an_stream_error_text(master), "") == 0);
	an_stream_close(master);
	return 0;
}

static int close_it(void *arg)
{
	an_stream_close(arg);
	return 0;
}

TASK_TEST(who_waits_at_a_terminal_sees_it_hang_up)
{
	an_stream *master, *slave;
	char buf[100];
	int r;

	CHECK_EQUAL(terminal(&master, &slave), 0);
	CHECK_EQUAL(an_spawn(close_it, slave, NULL, NULL), 0);
	CHECK_EQUAL(an_stream_read(master, buf, sizeof buf), 0);
	an_stream_close(master);

	CHECK_EQUAL(terminal(&master, &slave), 0);
	CHECK_EQUAL(an_spawn(close_it, master, NULL, NULL), 0);
	CHECK_EQUAL(an_stream_read(slave, buf, sizeof buf), 0);
	/* Where nobody reads any more there is an error, and no signal. */
	CHECK_EQUAL(an_stream_write(slave, "x", 1), 0);
	r = an_stream_drain(slave);
	CHECK_EQUAL(r, -EIO);
	an_stream_close(slave);
	return 0;
}

/* ---- descriptors ------------------------------------------------------------------- */

static size_t open_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

static int make_pipe(void)
{
	an_stream *r, *w;
	int result = an_pipe(NULL, &r, &w);

	if (result == 0) {
		an_stream_close(r);
		an_stream_close(w);
	}
	return result;
}

static int listen_and_connect(void)
{
	an_listener *l;
	an_stream *s;
	char port[8];
	int r = an_listen("127.0.0.1", "0", NULL, &l);

	if (r < 0)
		return r;
	snprintf(port, sizeof port, "%u", an_listener_port(l));
	r = an_connect("127.0.0.1", port, NULL, &s);
	if (r == 0)
		an_stream_close(s);
	an_listener_close(l);
	return r;
}

static int listen_and_connect_unix(void)
{
	an_listener *l;
	an_stream *s;
	char name[64];
	int r;

	snprintf(name, sizeof name, "@asyncnet-faults-%d", (int)getpid());
	r = an_listen_unix(name, NULL, &l);
	if (r < 0)
		return r;
	r = an_connect_unix(name, NULL, &s);
	if (r == 0)
		an_stream_close(s);
	an_listener_close(l);
	return r;
}

static int open_file(void)
{
	an_file *f;
	int r = an_file_open("/dev/null", O_RDONLY, 0, &f);

	if (r == 0)
		an_file_close(f);
	return r;
}

static int make_file_stream(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), r;
	an_stream *s;

	if (fd < 0)
		return -errno;
	r = an__stream_new_file(fd, NULL, &s);
	if (r < 0)
		close(fd);
	else
		an_stream_close(s);
	return r;
}

static int refused; /* what socket() and pipe2() say; 0: as the system does */

FAULT_TAKES_PLACE int socket(int domain, int type, int protocol)
{
	return refused ? (int)fault_error(refused)
		       : (int)syscall(SYS_socket, domain, type, protocol);
}

FAULT_TAKES_PLACE int pipe2(int fd[2], int flags)
{
	return refused ? (int)fault_error(refused) : (int)syscall(SYS_pipe2, fd, flags);
}

TASK_TEST(what_the_system_lacks_is_told_as_it_is)
{
	static const int kinds[] = { ENFILE, ENOBUFS, ENOMEM, EMFILE };

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		an_stream *s;
		int r[3];

		refused = kinds[i];
		r[0] = make_pipe();
		r[1] = listen_and_connect();
		r[2] = an_connect("127.0.0.1", "1", NULL, &s);
		refused = 0;
		for (int k = 0; k < 3; k++)
			CHECK_EQUAL(r[k], -kinds[i]);
		CHECK_EQUAL(make_pipe(), 0);
		CHECK_EQUAL(listen_and_connect(), 0);
	}
	return 0;
}

/* With none to be had, one, two ... until it is enough. */
static int with_few_descriptors(int (*attempt)(void))
{
	struct rlimit old, few;
	size_t before = open_descriptors();
	int r = attempt(), first = open("/dev/null", O_RDONLY | O_CLOEXEC);

	CHECK_EQUAL(r, 0);
	close(first);
	CHECK_EQUAL(getrlimit(RLIMIT_NOFILE, &old), 0);
	few = old;
	r = -EMFILE;
	for (int more = 0; r == -EMFILE; more++) {
		CHECK(more < 20);
		few.rlim_cur = (rlim_t)(first + more);
		CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &few), 0);
		r = attempt();
		CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &old), 0);
		CHECK(r == -EMFILE || (r == 0 && more > 0));
		CHECK_EQUAL(open_descriptors(), before);
	}
	return 0;
}

TASK_TEST(without_descriptors_calls_say_so_and_leak_none)
{
	CHECK_EQUAL(with_few_descriptors(make_pipe), 0);
	CHECK_EQUAL(with_few_descriptors(listen_and_connect), 0);
	CHECK_EQUAL(with_few_descriptors(listen_and_connect_unix), 0);
	CHECK_EQUAL(with_few_descriptors(open_file), 0);
	CHECK_EQUAL(with_few_descriptors(make_file_stream), 0);
	return 0;
}

static int set_up(void **state)
{
	count_libevent(state);
	return test_certs_make(&certs);
}

static int tear_down(void **state)
{
	(void)state;
	test_certs_remove(&certs);
	return 0;
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_conversation_does_not_notice_short_counts_and_interruptions),
	cmocka_unit_test(an_error_of_any_call_ends_its_side_and_sticks),
	cmocka_unit_test(nor_does_one_over_tls),
	cmocka_unit_test(over_tls_an_error_of_any_call_is_told_as_it_is),
	cmocka_unit_test(a_file_is_written_whole_or_the_error_is_told),
	cmocka_unit_test(a_lost_peer_is_no_signal_on_any_kind_of_stream),
	cmocka_unit_test(a_terminal_is_a_stream_and_its_hang_up_an_end),
	cmocka_unit_test(who_waits_at_a_terminal_sees_it_hang_up),
	cmocka_unit_test(what_the_system_lacks_is_told_as_it_is),
	cmocka_unit_test(without_descriptors_calls_say_so_and_leak_none),
};

TEST_MAIN_WITH("stream-faults", tests, set_up, tear_down)
