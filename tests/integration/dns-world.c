#include "tests/integration/dns-world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ipv6.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- the log that the server shares with the test -------------------------------- */

enum { LOG_MAX = 4096, NAME_MAX_LENGTH = 255 };

struct question {
	char type;
	bool tcp;
	char name[NAME_MAX_LENGTH + 1];
};

static struct shared {
	atomic_uint count;
	struct question list[LOG_MAX];
} * shared;
static int control[2]; /* a byte: release what is held */
static bool ipv6;

unsigned dns_world_questions(const char *name, char type)
{
	unsigned count = atomic_load(&shared->count), n = 0;

	for (unsigned i = 0; i < count; i++) {
		const struct question *q = &shared->list[i];

		if (!strncasecmp(q->name, name, strlen(name)))
			n += type == 'T' ? q->tcp : q->type == type && !q->tcp;
	}
	return n;
}

void dns_world_release(void)
{
	if (write(control[1], "", 1) != 1)
		abort();
}

/* ---- messages (RFC 1035 section 4) ----------------------------------------------- */

enum { TYPE_A = 1, TYPE_CNAME = 5, TYPE_AAAA = 28 };
enum { FLAGS_ANSWER = 0x8580, FLAGS_CUT = 0x0200, CODE_FAIL = 2, CODE_NONE = 3 };

struct message {
	uint8_t data[4096];
	size_t length;
	size_t question_end;
	char name[NAME_MAX_LENGTH + 1]; /* of the question, with dots */
	unsigned type;
};

static void put16(struct message *m, unsigned value)
{
	m->data[m->length++] = (uint8_t)(value >> 8);
	m->data[m->length++] = (uint8_t)value;
}

static void set16(struct message *m, size_t at, unsigned value)
{
	m->data[at] = (uint8_t)(value >> 8);
	m->data[at + 1] = (uint8_t)value;
}

static void put(struct message *m, const void *data, size_t length)
{
	memcpy(m->data + m->length, data, length);
	m->length += length;
}

/* The header and the question stay, the rest goes. */
static void begin_answer(struct message *m, unsigned flags)
{
	m->length = m->question_end;
	set16(m, 2, FLAGS_ANSWER | flags);
	for (size_t at = 6; at < 12; at += 2)
		set16(m, at, 0);
}

/* The owner is `name`, in wire format; NULL: the name that was asked for. */
static void begin_record(struct message *m, const char *name, size_t name_length,
			 unsigned type, size_t length)
{
	if (name)
		put(m, name, name_length);
	else
		put16(m, 0xc00c);
	put16(m, type);
	put16(m, 1); /* IN */
	put16(m, 0);
	put16(m, 60); /* seconds to live */
	put16(m, (unsigned)length);
	set16(m, 6, m->data[6] * 256u + m->data[7] + 1u);
}

static void add_address(struct message *m, const char *name, size_t name_length)
{
	uint8_t address[16];
	bool six = m->type == TYPE_AAAA;

	inet_pton(six ? AF_INET6 : AF_INET, six ? "2001:db8::1" : "192.0.2.1", address);
	begin_record(m, name, name_length, m->type, six ? 16 : 4);
	put(m, address, six ? 16 : 4);
}

static void add_alias(struct message *m, const char *name, size_t name_length,
		      const char *target, size_t length)
{
	begin_record(m, name, name_length, TYPE_CNAME, length);
	put(m, target, length);
}

/* Returns whether it is a question that can be answered. */
static bool parse_question(struct message *m)
{
	size_t at = 12, n = 0;

	while (at < m->length && m->data[at]) {
		size_t length = m->data[at];

		if (length > 63 || n + length + 1 > NAME_MAX_LENGTH ||
		    at + length + 1 > m->length)
			return false;
		memcpy(m->name + n, m->data + at + 1, length);
		n += length;
		m->name[n++] = '.';
		at += length + 1;
	}
	m->name[n ? n - 1 : 0] = '\0';
	if (at + 5 > m->length)
		return false;
	m->type = m->data[at + 1] * 256u + m->data[at + 2];
	m->question_end = at + 5;
	return true;
}

/* ---- behaviours ------------------------------------------------------------------ */

/* Where to send an answer. */
struct asker {
	int fd;
	bool tcp;
	struct sockaddr_in from;
};

static void send_to(const struct asker *a, struct message *m)
{
	uint8_t length[2] = { (uint8_t)(m->length >> 8), (uint8_t)m->length };

	if (!a->tcp)
		sendto(a->fd, m->data, m->length, 0, (const struct sockaddr *)&a->from,
		       sizeof a->from);
	else if (write(a->fd, length, 2) == 2 &&
		 write(a->fd, m->data, m->length) != (ssize_t)m->length)
		perror("write");
}

static bool behaves(const struct message *m, const char *kind)
{
	size_t length = strlen(kind);

	return !strncasecmp(m->name, kind, length) &&
	       (m->name[length] == '-' || m->name[length] == '.');
}

static void answer_many(const struct asker *a, struct message *m)
{
	begin_answer(m, a->tcp ? 0 : FLAGS_CUT);
	for (unsigned i = 0; i < 100 && a->tcp && m->type == TYPE_A; i++) {
		add_address(m, NULL, 0);
		m->data[m->length - 1] = (uint8_t)(100 + i);
	}
	send_to(a, m);
}

static void answer_junk(const struct asker *a, struct message *m)
{
	struct message other = *m;

	other.length = 3;
	send_to(a, &other);
	memset(other.data + 2, 0xff, 300);
	other.length = 302;
	send_to(a, &other);
	begin_answer(m, 0);
	set16(m, 6, 9); /* records that are not there */
	put(m, "\x3fthis is no name", 16);
	send_to(a, m);
}

static void answer_alias(const struct asker *a, struct message *m)
{
	static const char one[] = "\3one\4test", two[] = "\3two\4test";
	static const char odd[] = "\7a\0b c/d\4test";
	char name[255];

	begin_answer(m, 0);
	if (behaves(m, "loop")) {
		add_alias(m, NULL, 0, one, sizeof one);
		add_alias(m, one, sizeof one, two, sizeof two);
		add_alias(m, two, sizeof two, one, sizeof one);
	} else if (behaves(m, "odd")) {
		add_alias(m, NULL, 0, odd, sizeof odd);
		add_address(m, odd, sizeof odd);
	} else if (behaves(m, "pointer")) {
		put16(m, 0xc000u + (unsigned)m->length);
		set16(m, 6, 1);
		put(m, "\0\1\0\1\0\0\0\74\0\4\300\0\2\1", 14);
	} else {
		memset(name, 'a', sizeof name);
		for (size_t i = 0; i < 192; i += 64)
			name[i] = 63;
		name[192] = 61;
		name[254] = 0;
		add_alias(m, NULL, 0, name, sizeof name);
		add_address(m, name, sizeof name);
	}
	send_to(a, m);
}

/* Those of which only the header or the question is wrong. */
static void answer_falsely(const struct asker *a, struct message *m)
{
	begin_answer(m, 0);
	if (behaves(m, "other")) {
		add_address(m, "\4evil\4test", 11);
	} else {
		add_address(m, NULL, 0);
		m->data[behaves(m, "wrongid") ? 1 : 13] ^= 1;
	}
	send_to(a, m);
}

static bool has_address(const struct message *m)
{
	if (behaves(m, "four") || behaves(m, "held"))
		return m->type == TYPE_A;
	if (behaves(m, "six"))
		return m->type == TYPE_AAAA;
	return behaves(m, "both") || behaves(m, "noa") || behaves(m, "noaaaa");
}

static void answer(const struct asker *a, struct message *m)
{
	static const char *const aliases[] = { "loop", "odd", "pointer", "long" };
	static const char *const lies[] = { "other", "wrongid", "question" };

	if (behaves(m, "stall") || (behaves(m, "noa") && m->type == TYPE_A) ||
	    (behaves(m, "noaaaa") && m->type == TYPE_AAAA))
		return;
	for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++)
		if (behaves(m, aliases[i])) {
			answer_alias(a, m);
			return;
		}
	for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++)
		if (behaves(m, lies[i])) {
			answer_falsely(a, m);
			return;
		}
	if (behaves(m, "many")) {
		answer_many(a, m);
		return;
	}
	if (behaves(m, "junk")) {
		answer_junk(a, m);
		return;
	}
	begin_answer(m, behaves(m, "fail")   ? CODE_FAIL
			: behaves(m, "none") ? CODE_NONE
			: behaves(m, "shut") ? FLAGS_CUT
					     : 0);
	if (has_address(m))
		add_address(m, NULL, 0);
	send_to(a, m);
}

/* ---- the server ------------------------------------------------------------------ */

enum { HELD_MAX = 64 };

static struct {
	struct asker asker;
	struct message message;
} held[HELD_MAX];
static unsigned held_count;

static void note(const struct message *m, bool tcp)
{
	unsigned i = atomic_load(&shared->count);

	if (i == LOG_MAX)
		return;
	shared->list[i].type = m->type == TYPE_A ? 'A' : '6';
	shared->list[i].tcp = tcp;
	memcpy(shared->list[i].name, m->name, sizeof m->name);
	atomic_store(&shared->count, i + 1);
}

static void on_udp(int fd)
{
	struct asker a = { .fd = fd };
	socklen_t length = sizeof a.from;
	struct message m;
	ssize_t n = recvfrom(fd, m.data, sizeof m.data, 0, (struct sockaddr *)&a.from,
			     &length);

	m.length = n > 0 ? (size_t)n : 0;
	if (n <= 0 || !parse_question(&m))
		return;
	if (behaves(&m, "held") && held_count < HELD_MAX) {
		held[held_count].asker = a;
		held[held_count++].message = m;
		note(&m, false);
		return;
	}
	note(&m, false);
	answer(&a, &m);
}

static bool read_all(int fd, void *buf, size_t length)
{
	for (size_t n = 0; n < length;) {
		ssize_t r = read(fd, (char *)buf + n, length - n);

		if (r <= 0)
			return false;
		n += (size_t)r;
	}
	return true;
}

static void on_tcp(int listener)
{
	struct asker a = { .fd = accept(listener, NULL, NULL), .tcp = true };
	struct message m;
	uint8_t length[2];

	while (read_all(a.fd, length, 2)) {
		m.length = length[0] * 256u + length[1];
		if (m.length > sizeof m.data || !read_all(a.fd, m.data, m.length) ||
		    !parse_question(&m))
			break;
		note(&m, true);
		if (behaves(&m, "shut"))
			break;
		answer(&a, &m);
	}
	close(a.fd);
}

static void on_control(int fd)
{
	char byte;

	if (read(fd, &byte, 1) != 1)
		_exit(0);
	while (held_count) {
		held_count--;
		answer(&held[held_count].asker, &held[held_count].message);
	}
}

static int open_port(int type, int last)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(53) };
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + (uint32_t)last);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) < 0 ||
	    (type == SOCK_STREAM && listen(fd, 64) < 0))
		return -1;
	return fd;
}

static void serve(struct pollfd *p)
{
	for (;;) {
		if (poll(p, 4, -1) < 0)
			continue;
		for (int i = 0; i < 2; i++)
			if (p[i].revents)
				on_udp(p[i].fd);
		if (p[2].revents)
			on_tcp(p[2].fd);
		if (p[3].revents)
			on_control(p[3].fd);
	}
}

static const char *start_server(void)
{
	struct pollfd p[4] = { { .fd = open_port(SOCK_DGRAM, 1), .events = POLLIN },
			       { .fd = open_port(SOCK_DGRAM, 2), .events = POLLIN },
			       { .fd = open_port(SOCK_STREAM, 1), .events = POLLIN } };
	pid_t pid;

	if (p[0].fd < 0 || p[1].fd < 0 || p[2].fd < 0)
		return "no port 53 in a namespace of one's own";
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED || pipe2(control, O_CLOEXEC) < 0)
		return "no memory shared with a child";
	pid = fork();
	if (pid < 0)
		return "no child";
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGPIPE, SIG_IGN);
		close(control[1]); /* its end is the test's */
		p[3] = (struct pollfd){ .fd = control[0], .events = POLLIN };
		serve(p);
	}
	for (int i = 0; i < 3; i++)
		close(p[i].fd);
	close(control[0]);
	return NULL;
}

/* ---- namespaces ------------------------------------------------------------------ */

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return good;
}

static bool become_root_of_it(void)
{
	unsigned uid = getuid(), gid = getgid();
	char map[64];

	if (unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) < 0)
		return false;
	write_file("/proc/self/setgroups", "deny");
	snprintf(map, sizeof map, "0 %u 1", uid);
	if (!write_file("/proc/self/uid_map", map))
		return false;
	snprintf(map, sizeof map, "0 %u 1", gid);
	return write_file("/proc/self/gid_map", map) &&
	       mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

static bool add_ipv4(int fd)
{
	struct ifreq r = { .ifr_flags = IFF_UP | IFF_RUNNING };
	struct sockaddr_in *a = (struct sockaddr_in *)&r.ifr_addr;

	strcpy(r.ifr_name, "lo");
	if (ioctl(fd, SIOCSIFFLAGS, &r) < 0)
		return false;
	strcpy(r.ifr_name, "lo:1");
	memset(&r.ifr_addr, 0, sizeof r.ifr_addr);
	a->sin_family = AF_INET;
	inet_pton(AF_INET, "192.0.2.1", &a->sin_addr);
	return ioctl(fd, SIOCSIFADDR, &r) == 0;
}

/* The kernel adds an address and takes it into use somewhat later, on a thread of its
 * own; until then it is no source of anything, and is sorted last. */
static bool becomes_usable(int fd, const struct in6_addr *address)
{
	const struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_addr = *address };

	for (int i = 0; i < 10000; i++) {
		if (bind(fd, (const struct sockaddr *)&a, sizeof a) == 0)
			return true;
		usleep(1000);
	}
	return false;
}

static bool add_ipv6(void)
{
	struct in6_ifreq r = { .ifr6_prefixlen = 64, .ifr6_ifindex = 1 };
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool good;

	if (fd < 0)
		return false;
	inet_pton(AF_INET6, "2001:db8::1", &r.ifr6_addr);
	good = ioctl(fd, SIOCSIFADDR, &r) == 0 && becomes_usable(fd, &r.ifr6_addr);
	close(fd);
	return good;
}

static bool replace(const char *folder, const char *path, const char *text)
{
	char own[100];
	bool good;

	snprintf(own, sizeof own, "%s/file", folder);
	good = write_file(own, text) && mount(own, path, NULL, MS_BIND, NULL) == 0;
	unlink(own);
	return good;
}

static bool replace_files(void)
{
	char folder[] = "/tmp/asyncnet-dns-XXXXXX";
	bool good;

	if (!mkdtemp(folder))
		return false;
	good = replace(folder, "/etc/resolv.conf", "nameserver 127.0.0.1\n") &&
	       replace(folder, "/etc/nsswitch.conf", "hosts: files dns\n") &&
	       replace(folder, "/etc/hosts",
		       "127.0.0.1 localhost\n192.0.2.33 written.test\n");
	/* A caching daemon would be asked first. */
	if (access("/run/nscd", F_OK) == 0)
		mount(folder, "/run/nscd", NULL, MS_BIND, NULL);
	rmdir(folder);
	return good;
}

void dns_world_configure(int last, const char *options)
{
	char text[200];

	snprintf(text, sizeof text, "nameserver 127.0.0.%d\noptions %s\n", last, options);
	if (!write_file("/etc/resolv.conf", text))
		abort();
}

bool dns_world_has_ipv6(void)
{
	return ipv6;
}

const char *dns_world_enter(void)
{
	int fd;
	bool good;

	if (!become_root_of_it())
		return "no namespaces of one's own here";
	if (!replace_files())
		return "files in /etc cannot be replaced";
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	good = fd >= 0 && add_ipv4(fd);
	close(fd);
	if (!good)
		return "no network in a namespace of one's own";
	ipv6 = add_ipv6();
	return start_server();
}
