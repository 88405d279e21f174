/* Files sent to streams: by the kernel, by copy, cut, shrunk, cancelled and refused. */
#include "config.h"

#include "tests/support/certs.h"
#include "tests/support/faults.h"
#include "tests/support/libevent-memory.h"
#include "tests/support/pairs.h"
#include "tests/support/program.h"
#include "tests/support/run.h"

#include "loop/io/stream-private.h"

#include <asyncnet/file.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SIZE = 3000000, SMALL = 5000, VICTIM_SIZE = 100000 };

static char content[SIZE], received[SIZE + 65536];

/* A file of `size` bytes of the content that has no name any more. */
static int make_file(const char *dir, size_t size, an_file **ret)
{
	char path[64];
	an_file *f;
	int fd, r;

	if (!content[1])
		fill_pattern(content, SIZE, 9);
	snprintf(path, sizeof path, "%s/asyncnet-XXXXXX", dir);
	fd = mkstemp(path);
	CHECK(fd >= 0);
	close(fd);
	r = an_file_open(path, O_RDWR, 0, &f);
	unlink(path);
	CHECK_EQUAL(r, 0);
	CHECK_EQUAL(an_file_pwrite(f, content, size, 0), 0);
	*ret = f;
	return 0;
}

struct receiver {
	int fd;
	size_t len, got;
};

/* Until `len` bytes have come, or the end. */
static int receive(void *arg)
{
	struct receiver *c = arg;

	while (c->got < c->len) {
		ssize_t n = read(c->fd, received + c->got, sizeof received - c->got);

		if (n == 0 || (n < 0 && errno == ECONNRESET))
			break;
		CHECK(n > 0 || errno == EAGAIN);
		if (n > 0)
			c->got += (size_t)n;
		if (an_yield() < 0)
			break;
	}
	return 0;
}

/* Sends, and compares what comes. */
static int send_and_check(an_stream *s, int fd, an_file *f, off_t offset, size_t len,
			  size_t expected)
{
	struct receiver c = { .fd = fd, .len = expected };
	an_task *task;

	CHECK_EQUAL(an_spawn(receive, &c, NULL, &task), 0);
	CHECK_EQUAL(an_stream_send_file(s, f, offset, len), expected);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(c.got, expected);
	CHECK(memcmp(received, content + offset, expected) == 0);
	CHECK_EQUAL(an_stream_pending(s), 0);
	return 0;
}

TASK_TEST(a_file_is_sent_whole_or_in_part_and_its_position_stays)
{
	char byte;
	an_stream *s;
	an_file *f;
	int fd;

	CHECK_EQUAL(make_file("/tmp", SIZE, &f), 0);
	CHECK_EQUAL(an_file_seek(f, 7, SEEK_SET, NULL), 0);
	for (int tcp = 0; tcp < 2; tcp++) {
		CHECK_EQUAL(tcp ? tcp_pair(&s, &fd)
				: socket_pair(SOCK_STREAM, NULL, &s, &fd),
			    0);
		fault_arm(an_stream_fd(s), 0, 0);
		CHECK_EQUAL(send_and_check(s, fd, f, 0, SIZE_MAX, SIZE), 0);
		fault_disarm();
		CHECK(faults.sendfiles >= 3);
		CHECK_EQUAL(send_and_check(s, fd, f, 1, SIZE, SIZE - 1), 0);
		CHECK_EQUAL(send_and_check(s, fd, f, 4095, 1000001, 1000001), 0);
		CHECK_EQUAL(send_and_check(s, fd, f, 100, 1, 1), 0);
		CHECK_EQUAL(send_and_check(s, fd, f, 0, 0, 0), 0);
		CHECK_EQUAL(send_and_check(s, fd, f, SIZE, SIZE_MAX, 0), 0);
		CHECK_EQUAL(an_stream_send_file(s, f, SIZE + 5, 10), 0);
		an_stream_close(s);
		close(fd);
	}
	CHECK_EQUAL(an_file_read(f, &byte, 1), 1);
	CHECK_EQUAL(byte, content[7]);
	an_file_close(f);
	return 0;
}

TASK_TEST(headers_and_a_small_file_leave_together)
{
	an_stream *s;
	an_file *f;
	int fd;

	CHECK_EQUAL(make_file("/tmp", SMALL, &f), 0);
	CHECK_EQUAL(socket_pair(SOCK_SEQPACKET, NULL, &s, &fd), 0);
	CHECK_EQUAL(an_stream_write(s, "head", 4), 0);
	CHECK_EQUAL(an_stream_send_file(s, f, 0, SIZE_MAX), SMALL);
	CHECK_EQUAL(an_stream_write(s, "tail", 4), 0);
	CHECK_EQUAL(an_stream_drain(s), 0);
	CHECK_EQUAL(read(fd, received, sizeof received), SMALL + 8);
	CHECK(memcmp(received + 4, content, SMALL) == 0);
	an_stream_close(s);
	close(fd);
	an_file_close(f);
	return 0;
}

TASK_TEST(what_was_written_before_and_after_stays_in_order)
{
	struct receiver c = { .len = SIZE + 8 };
	an_task *task;
	an_stream *s;
	an_file *f;

	CHECK_EQUAL(make_file("/tmp", SIZE, &f), 0);
	CHECK_EQUAL(socket_pair(SOCK_STREAM, NULL, &s, &c.fd), 0);
	CHECK_EQUAL(an_spawn(receive, &c, NULL, &task), 0);
	CHECK_EQUAL(an_stream_write(s, "head", 4), 0);
	CHECK_EQUAL(an_stream_send_file(s, f, 0, SIZE), SIZE);
	CHECK_EQUAL(an_stream_write(s, "tail", 4), 0);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK(memcmp(received, "head", 4) == 0);
	CHECK(memcmp(received + 4, content, SIZE) == 0);
	CHECK(memcmp(received + 4 + SIZE, "tail", 4) == 0);
	an_stream_close(s);
	close(c.fd);
	an_file_close(f);
	return 0;
}

TASK_TEST(files_without_a_disk_are_sent_as_well)
{
	struct receiver c = { .len = SIZE_MAX };
	char path[64], start[100];
	an_stream *s;
	an_task *task;
	an_file *f;
	ssize_t n;
	int fd = memfd_create("test", 0), direct;

	fill_pattern(content, SIZE, 9);
	/* Of memory: by the kernel, too. */
	CHECK_EQUAL(write(fd, content, SIZE), SIZE);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	CHECK_EQUAL(an_file_open(path, O_RDONLY, 0, &f), 0);
	close(fd);
	CHECK_EQUAL(socket_pair(SOCK_STREAM, NULL, &s, &fd), 0);
	fault_arm(an_stream_fd(s), 0, 0);
	CHECK_EQUAL(send_and_check(s, fd, f, 0, SIZE_MAX, SIZE), 0);
	fault_disarm();
	CHECK(faults.sendfiles >= 3);
	an_file_close(f);

	/* Made when it is read, and of no size before. */
	c.fd = fd;
	CHECK_EQUAL(an_file_open("/proc/cpuinfo", O_RDONLY, 0, &f), 0);
	CHECK_EQUAL(an_spawn(receive, &c, NULL, &task), 0);
	n = an_stream_send_file(s, f, 0, SIZE_MAX);
	CHECK(n > 0);
	CHECK_EQUAL(an_stream_shutdown(s), 0);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(c.got, n);
	direct = open("/proc/cpuinfo", O_RDONLY);
	CHECK_EQUAL(read(direct, start, sizeof start), sizeof start);
	CHECK(memcmp(start, received, sizeof start) == 0);
	close(direct);
	an_file_close(f);
	an_stream_close(s);
	close(fd);
	return 0;
}

TASK_TEST(pipes_take_files)
{
	an_stream *s;
	an_file *f;
	int fd[2];

	CHECK_EQUAL(make_file("/tmp", SIZE, &f), 0);
	CHECK_EQUAL(pipe2(fd, O_NONBLOCK), 0);
	CHECK_EQUAL(an_stream_new(fd[1], NULL, &s), 0);
	fault_arm(fd[1], 0, 0);
	CHECK_EQUAL(send_and_check(s, fd[0], f, 0, SIZE_MAX, SIZE), 0);
	fault_disarm();
	CHECK(faults.sendfiles > 0);
	an_stream_close(s);
	close(fd[0]);
	an_file_close(f);
	return 0;
}

TASK_TEST(a_file_goes_to_a_file_and_behind_what_is_there)
{
	char path[] = "/tmp/asyncnet-XXXXXX";
	int fd = mkstemp(path), look;
	an_stream *s;
	an_file *f;

	CHECK(fd >= 0);
	look = open(path, O_RDONLY);
	close(fd);
	fd = open(path, O_WRONLY | O_APPEND);
	unlink(path);
	CHECK_EQUAL(make_file("/tmp", SIZE, &f), 0);
	CHECK_EQUAL(an__stream_new_file(fd, NULL, &s), 0);
	CHECK_EQUAL(an_stream_write(s, "head", 4), 0);
	CHECK_EQUAL(an_stream_send_file(s, f, 0, SIZE_MAX), SIZE);
	CHECK_EQUAL(an_stream_drain(s), 0);
	CHECK_EQUAL(read(look, received, sizeof received), SIZE + 4);
	CHECK(memcmp(received + 4, content, SIZE) == 0);
	close(look);
	an_stream_close(s);
	an_file_close(f);
	return 0;
}

TASK_TEST(what_is_on_the_disk_alone_is_read_by_workers)
{
	an_stream *s;
	an_file *f;
	int fd;

	CHECK_EQUAL(make_file("/tmp", SIZE, &f), 0);
	CHECK_EQUAL(an_file_sync(f), 0);
	CHECK_EQUAL(posix_fadvise(an_file_fd(f), 0, 0, POSIX_FADV_DONTNEED), 0);
	CHECK_EQUAL(socket_pair(SOCK_STREAM, NULL, &s, &fd), 0);
	fault_arm(an_stream_fd(s), 0, 0);
	CHECK_EQUAL(send_and_check(s, fd, f, 0, SIZE_MAX, SIZE), 0);
	fault_disarm();
	CHECK_EQUAL(faults.cold, 0);
	an_stream_close(s);
	close(fd);
	an_file_close(f);
	return 0;
}

TASK_TEST(what_cannot_be_sent_is_refused_with_a_reason)
{
	char path[] = "/tmp/asyncnet-XXXXXX";
	an_timeout t;
	an_stream *s;
	an_file *f;
	int fd;

	CHECK_EQUAL(socket_pair(SOCK_STREAM, NULL, &s, &fd), 0);
	CHECK_EQUAL(an_file_open("/tmp", O_RDONLY, 0, &f), 0);
	CHECK_EQUAL(an_stream_send_file(s, f, 0, SIZE_MAX), -EISDIR);
	CHECK_EQUAL(an_stream_send_file(s, f, -1, SIZE_MAX), -EINVAL);
	an_file_close(f);

	CHECK(mkdtemp(path) != NULL);
	CHECK_EQUAL(rmdir(path), 0);
	CHECK_EQUAL(mkfifo(path, 0600), 0);
	CHECK_EQUAL(an_file_open(path, O_RDWR, 0, &f), 0);
	unlink(path);
	CHECK_EQUAL(an_stream_send_file(s, f, 0, SIZE_MAX), -ESPIPE);
	an_file_close(f);

	CHECK_EQUAL(an_file_open("/dev/null", O_WRONLY, 0, &f), 0);
	CHECK_EQUAL(an_stream_send_file(s, f, 0, SIZE_MAX), -EBADF);
	an_file_close(f);

	/* None of these is the stream's fault. */
	CHECK_EQUAL(make_file("/tmp", SMALL, &f), 0);
	CHECK_EQUAL(send_and_check(s, fd, f, 0, SIZE_MAX, SMALL), 0);
	an_timeout_begin(&t, 0);
	CHECK_EQUAL(an_stream_send_file(s, f, 0, SIZE_MAX), -ECANCELED);
	CHECK_EQUAL(an_timeout_end(&t, -ECANCELED), -ETIMEDOUT);
	CHECK_EQUAL(an_stream_shutdown(s), 0);
	CHECK_EQUAL(an_stream_send_file(s, f, 0, SIZE_MAX), AN_ERR_CLOSED);
	an_file_close(f);
	an_stream_close(s);
	close(fd);
	return 0;
}

/* ---- a sender that is parked ------------------------------------------------------- */

struct sender {
	an_stream *s;
	an_file *f;
	size_t len;
	ssize_t result;
	bool done;
};

static int send_it(void *arg)
{
	struct sender *x = arg;

	x->result = an_stream_send_file(x->s, x->f, 0, x->len ? x->len : SIZE_MAX);
	x->done = true;
	return x->result == -ECANCELED ? -ECANCELED : 0;
}

static int park_sender(struct sender *x, int *ret_fd, an_task **ret_task)
{
	*x = (struct sender){ 0 };
	CHECK_EQUAL(make_file("/tmp", SIZE, &x->f), 0);
	CHECK_EQUAL(socket_pair(SOCK_STREAM, NULL, &x->s, ret_fd), 0);
	CHECK_EQUAL(an_spawn(send_it, x, NULL, ret_task), 0);
	CHECK_EQUAL(an_sleep(AN_SECOND), 0);
	CHECK(!x->done);
	/* What the socket does not take stays in the file. */
	CHECK(an_stream_pending(x->s) > 0 && an_stream_pending(x->s) <= 65536);
	return 0;
}

TASK_TEST(nothing_else_is_written_in_mid_file)
{
	struct sender x;
	struct receiver c = { .len = SIZE };
	an_task *task;

	CHECK_EQUAL(park_sender(&x, &c.fd, &task), 0);
	CHECK_EQUAL(an_stream_write(x.s, "x", 1), -EBUSY);
	CHECK_EQUAL(an_stream_write_nowait(x.s, "x", 1), -EBUSY);
	CHECK_EQUAL(an_stream_send_file(x.s, x.f, 0, 1), -EBUSY);
	an_file_close(x.f); /* seen through */
	CHECK_EQUAL(receive(&c), 0);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(x.result, SIZE);
	CHECK(memcmp(received, content, SIZE) == 0);
	CHECK_EQUAL(an_stream_write_nowait(x.s, "x", 1), 0);
	an_stream_close(x.s);
	close(c.fd);
	return 0;
}

TASK_TEST(a_file_that_shrinks_ends_early)
{
	struct sender x;
	struct receiver c = { .len = SIZE_MAX };
	an_task *task, *receiver;

	CHECK_EQUAL(park_sender(&x, &c.fd, &task), 0);
	CHECK_EQUAL(an_file_truncate(x.f, SIZE / 2), 0);
	CHECK_EQUAL(an_spawn(receive, &c, NULL, &receiver), 0);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(x.result, SIZE / 2);
	CHECK_EQUAL(an_stream_write(x.s, "tail", 4), 0);
	CHECK_EQUAL(an_stream_shutdown(x.s), 0);
	CHECK_EQUAL(an_join(receiver, NULL), 0);
	CHECK_EQUAL(c.got, SIZE / 2 + 4);
	CHECK(memcmp(received, content, SIZE / 2) == 0);
	an_stream_close(x.s);
	an_file_close(x.f);
	close(c.fd);
	return 0;
}

TASK_TEST(a_close_or_a_lost_peer_ends_a_parked_sender)
{
	struct sender x;
	an_task *task;
	char byte;
	int fd;

	CHECK_EQUAL(park_sender(&x, &fd, &task), 0);
	an_stream_close(x.s);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(x.result, AN_ERR_CLOSED);
	an_file_close(x.f);
	close(fd);

	CHECK_EQUAL(park_sender(&x, &fd, &task), 0);
	close(fd);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK(x.result > 0 && x.result < SIZE);
	CHECK(an_stream_send_file(x.s, x.f, 0, 1) == -EPIPE ||
	      an_stream_send_file(x.s, x.f, 0, 1) == -ECONNRESET);
	an_ignore((int)an_stream_read(x.s, &byte, 1));
	an_file_close(x.f);
	an_stream_close(x.s);
	return 0;
}

static int send_a_byte(void *arg)
{
	struct sender *x = arg;

	x->result = an_stream_send_file(x->s, x->f, 0, 1);
	return 0;
}

/* After a MiB without a wait others run before the call has looked at the file. */
TASK_TEST(a_file_closed_in_mid_call_is_sent_all_the_same)
{
	const an_task_opts eager = { .eager = true };
	struct sender x = { 0 };
	an_task *task;
	int fd;

	CHECK_EQUAL(make_file("/tmp", SMALL, &x.f), 0);
	CHECK_EQUAL(tcp_pair(&x.s, &fd), 0);
	x.s->write_burst = AN__STREAM_BURST;
	CHECK_EQUAL(an_spawn(send_a_byte, &x, &eager, &task), 0);
	an_file_close(x.f);
	CHECK_EQUAL(an_join(task, NULL), 0);
	CHECK_EQUAL(x.result, 1);
	an_stream_close(x.s);
	close(fd);
	return 0;
}

/* ---- cancelled at each step -------------------------------------------------------- */

static struct sender victim;
static struct receiver victims;
static an_stream *victims_peer;

/* As receive(), without a step of its own while there is nothing. */
static int receive_parked(void *arg)
{
	ssize_t n = 1;

	(void)arg;
	while (n > 0) {
		n = an_stream_read(victims_peer, received + victims.got,
				   sizeof received - victims.got);
		victims.got += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int prepare_victim(void *arg)
{
	int sndbuf = 20000;

	(void)arg;
	victim = (struct sender){ .len = VICTIM_SIZE };
	victims = (struct receiver){ .len = SIZE_MAX };
	CHECK_EQUAL(make_file("/tmp", VICTIM_SIZE, &victim.f), 0);
	CHECK_EQUAL(socket_pair(SOCK_STREAM, NULL, &victim.s, &victims.fd), 0);
	setsockopt(an_stream_fd(victim.s), SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof sndbuf);
	CHECK_EQUAL(an_stream_new(victims.fd, NULL, &victims_peer), 0);
	return an_spawn(receive_parked, NULL, NULL, NULL);
}

/* What was counted is what comes, and no more. */
static int check_victim(void *arg)
{
	size_t expected = victim.result > 0 ? (size_t)victim.result : 0;

	(void)arg;
	an_file_close(victim.f);
	if (victim.done)
		CHECK(victim.result > 0 || victim.result == -ECANCELED);
	CHECK_EQUAL(an_stream_shutdown(victim.s), 0);
	an_stream_close(victim.s);
	CHECK_EQUAL(an_testing_settle(), 0);
	CHECK_EQUAL(victims.got, expected);
	CHECK(memcmp(received, content, expected) == 0);
	an_stream_close(victims_peer);
	return 0;
}

CANCEL_TEST(a_cancelled_send_counts_what_will_arrive, prepare_victim, send_it,
	    check_victim, &victim)

/* ---- faults at each step ----------------------------------------------------------- */

/* Returns whether there was such a call. What arrives is the front of the file in any
 * case, as much of it as was counted when the stream is still good. */
static int send_with_fault(unsigned nth, int what, bool *ret_hit, ssize_t *ret_sent)
{
	struct receiver c = { .len = SIZE_MAX };
	struct sender x = { 0 };
	an_task *task;
	int r;

	CHECK_EQUAL(make_file("/tmp", 600000, &x.f), 0);
	CHECK_EQUAL(socket_pair(SOCK_STREAM, NULL, &x.s, &c.fd), 0);
	CHECK_EQUAL(an_spawn(receive, &c, NULL, &task), 0);
	fault_arm(an_stream_fd(x.s), nth, what);
	r = an_stream_write(x.s, "head", 4);
	CHECK_EQUAL(r, 0);
	CHECK(send_it(&x) != -ECANCELED);
	r = an_stream_drain(x.s);
	*ret_hit = fault_disarm();
	*ret_sent = x.result;
	if (r == 0)
		CHECK_EQUAL(an_stream_shutdown(x.s), 0);
	an_stream_close(x.s);
	CHECK_EQUAL(an_join(task, NULL), 0);
	if (r == 0)
		CHECK_EQUAL(c.got, x.result + 4);
	if (c.got > 4)
		CHECK(memcmp(received + 4, content, c.got - 4) == 0);
	an_file_close(x.f);
	close(c.fd);
	return r;
}

TASK_TEST(interruptions_and_short_counts_at_any_call_change_nothing)
{
	static const int kinds[] = { EINTR, EAGAIN, FAULT_SHORT };
	ssize_t sent;

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		bool hit = true;
		unsigned n;

		for (n = 1; hit; n++) {
			CHECK_EQUAL(send_with_fault(n, kinds[i], &hit, &sent), 0);
			CHECK_EQUAL(sent, 600000);
		}
		CHECK(n > 4);
	}
	return 0;
}

TASK_TEST(errors_at_any_call_are_told_and_nothing_is_torn)
{
	static const int kinds[] = { EPIPE, ECONNRESET, ETIMEDOUT, ENOBUFS, EIO, EINVAL };
	ssize_t sent;

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		bool hit = true;
		unsigned n;

		for (n = 1; hit; n++) {
			int r = send_with_fault(n, kinds[i], &hit, &sent);

			/* What sendfile() alone cannot is done by copy, but for what
			 * is of the connection. */
			bool told = hit && i < 3;

			CHECK(r == -kinds[i] || (!told && r == 0 && sent == 600000));
			CHECK(hit || r == 0);
		}
		CHECK(n > 4);
	}
	return 0;
}

TASK_TEST(every_lack_of_memory_is_survived)
{
	bool failed = true;

	for (size_t i = 1; failed; i++) {
		struct receiver c = { .len = SIZE_MAX };
		an_task *task;
		an_stream *s;
		an_file *f;
		ssize_t n;

		CHECK(i < 100);
		CHECK_EQUAL(make_file("/tmp", 600000, &f), 0);
		CHECK_EQUAL(socket_pair(SOCK_STREAM, NULL, &s, &c.fd), 0);
		CHECK_EQUAL(an_spawn(receive, &c, NULL, &task), 0);
		an_testing_fail_allocation(i);
		n = an_stream_send_file(s, f, 0, SIZE_MAX);
		failed = an_testing_allocation_failed();
		CHECK(n == 600000 || (failed && (n == -ENOMEM || n > 0)));
		an_stream_close(s);
		CHECK_EQUAL(an_join(task, NULL), 0);
		CHECK(memcmp(received, content, c.got) == 0);
		close(c.fd);
		an_file_close(f);
	}
	return 0;
}

/* ---- TLS --------------------------------------------------------------------------- */

static test_certs certs;

struct ends {
	an_tls *client_tls, *server_tls;
	an_stream *client, *server;
	size_t got;
	int result;
};

static int receive_over_tls(void *arg)
{
	struct ends *e = arg;
	ssize_t n;

	e->result = an_stream_start_tls(e->client, e->client_tls, "localhost");
	CHECK_EQUAL(e->result, 0);
	while (e->got < SIZE) {
		n = an_stream_read(e->client, received + e->got, SIZE - e->got);
		CHECK(n > 0);
		e->got += (size_t)n;
	}
	return 0;
}

TASK_TEST(over_tls_a_file_goes_through_a_buffer)
{
	struct ends e = { 0 };
	an_task *task;
	an_file *f;
	int fd[2], r;

	CHECK_EQUAL(make_file("/tmp", SIZE, &f), 0);
	CHECK_EQUAL(
		an_tls_new(&(an_tls_opts){ .ca_file = certs.ca }, NULL, 0, &e.client_tls),
		0);
	CHECK_EQUAL(
		an_tls_new(&(an_tls_opts){ .server = true, .cert_file = certs.server },
			   NULL, 0, &e.server_tls),
		0);
	CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	CHECK_EQUAL(an_stream_new(fd[0], NULL, &e.client), 0);
	CHECK_EQUAL(an_stream_new(fd[1], NULL, &e.server), 0);
	CHECK_EQUAL(an_spawn(receive_over_tls, &e, NULL, &task), 0);
	CHECK_EQUAL(an_stream_start_tls(e.server, e.server_tls, NULL), 0);
	CHECK_EQUAL(an_stream_send_file(e.server, f, 0, SIZE_MAX), SIZE);
	CHECK_EQUAL(an_join(task, &r), 0);
	CHECK_EQUAL(r, 0);
	CHECK(memcmp(received, content, SIZE) == 0);
	an_stream_close(e.client);
	an_stream_close(e.server);
	an_tls_free(e.client_tls);
	an_tls_free(e.server_tls);
	an_file_close(f);
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
	cmocka_unit_test(a_file_is_sent_whole_or_in_part_and_its_position_stays),
	cmocka_unit_test(headers_and_a_small_file_leave_together),
	cmocka_unit_test(what_was_written_before_and_after_stays_in_order),
	cmocka_unit_test(files_without_a_disk_are_sent_as_well),
	cmocka_unit_test(pipes_take_files),
	cmocka_unit_test(a_file_goes_to_a_file_and_behind_what_is_there),
	cmocka_unit_test(what_is_on_the_disk_alone_is_read_by_workers),
	cmocka_unit_test(what_cannot_be_sent_is_refused_with_a_reason),
	cmocka_unit_test(nothing_else_is_written_in_mid_file),
	cmocka_unit_test(a_file_that_shrinks_ends_early),
	cmocka_unit_test(a_close_or_a_lost_peer_ends_a_parked_sender),
	cmocka_unit_test(a_file_closed_in_mid_call_is_sent_all_the_same),
	cmocka_unit_test(a_cancelled_send_counts_what_will_arrive),
	cmocka_unit_test(interruptions_and_short_counts_at_any_call_change_nothing),
	cmocka_unit_test(errors_at_any_call_are_told_and_nothing_is_torn),
	cmocka_unit_test(every_lack_of_memory_is_survived),
	cmocka_unit_test(over_tls_a_file_goes_through_a_buffer),
};

TEST_MAIN_WITH("sendfile", tests, set_up, tear_down)
