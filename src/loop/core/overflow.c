/* The report of a task's stack overflow: a SIGSEGV/SIGBUS handler on an alternate
 * stack. L1.
 *
 * The handler is the process's and is installed while any thread has entered; the
 * alternate stack and `describe` are the thread's. Everything the handler touches was
 * made beforehand: it calls write, sigaction, raise and `describe` alone.
 */
#include "loop/core/loop-private.h"

#include <asyncnet/error.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(low, high) 0
#define VALGRIND_STACK_DEREGISTER(id) ((void)(id))
#endif

/* Above the signal frame: what `describe` and a former handler may need. */
#define HANDLER_STACK ((size_t)32 << 10)
#define MESSAGE_MAX 512

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of what follows */
static unsigned entered;
static struct on_signal {
	int number;
	bool installed;
	struct sigaction former;
} on_segv = { .number = SIGSEGV }, on_bus = { .number = SIGBUS };

/* initial-exec: the handler must not be the first to ask for the thread's copy. */
#define SIGNAL_SAFE_TLS static _Thread_local __attribute__((tls_model("initial-exec")))
SIGNAL_SAFE_TLS size_t (*describe_fault)(const void *address, char *buf, size_t cap);
SIGNAL_SAFE_TLS void *own_stack; /* NULL: the thread had one */
SIGNAL_SAFE_TLS size_t own_size;
SIGNAL_SAFE_TLS unsigned valgrind_id; /* a handler may switch stacks to look at tasks */

static void say(const char *text, size_t length)
{
	while (length) {
		ssize_t n = write(STDERR_FILENO, text, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		text += n;
		length -= (size_t)n;
	}
}

/* Goes on as if this handler were not there. */
static void pass_on(int sig, siginfo_t *info, void *context)
{
	const struct sigaction *former =
		sig == SIGSEGV ? &on_segv.former : &on_bus.former;

	if (former->sa_flags & SA_SIGINFO) {
		former->sa_sigaction(sig, info, context);
		return;
	}
	if (former->sa_handler == SIG_IGN && info->si_code <= 0)
		return;
	if (former->sa_handler != SIG_DFL && former->sa_handler != SIG_IGN) {
		former->sa_handler(sig);
		return;
	}
	/* A fault happens again on return, and the core dump shows where; a sent signal
	 * does not. */
	signal(sig, SIG_DFL);
	if (info->si_code <= 0)
		raise(sig);
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
	int saved = errno;
	char message[MESSAGE_MAX];

	if (describe_fault && info->si_code > 0) {
		size_t n = describe_fault(info->si_addr, message, sizeof(message));

		say(message, n < sizeof(message) ? n : sizeof(message));
	}
	errno = saved;
	pass_on(sig, info, context);
}

static int give_alternate_stack(void)
{
	stack_t st;
	long frame = sysconf(_SC_MINSIGSTKSZ);
	void *p;

	if (sigaltstack(NULL, &st) == 0 && !(st.ss_flags & SS_DISABLE))
		return 0;
	own_size = HANDLER_STACK + (frame > 0 ? (size_t)frame : 0);
	p = mmap(NULL, own_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		 0);
	if (p == MAP_FAILED)
		return -ENOMEM;
	st = (stack_t){ .ss_sp = p, .ss_size = own_size };
	if (sigaltstack(&st, NULL)) {
		int r = -errno;

		munmap(p, own_size);
		return r;
	}
	own_stack = p;
	valgrind_id = VALGRIND_STACK_REGISTER(p, (char *)p + own_size);
	return 0;
}

static void take_alternate_stack(void)
{
	stack_t off = { .ss_flags = SS_DISABLE }, st;

	if (!own_stack)
		return;
	/* Someone else's by now? Then it is not ours to take off. */
	if (sigaltstack(NULL, &st) == 0 && st.ss_sp == own_stack)
		sigaltstack(&off, NULL);
	VALGRIND_STACK_DEREGISTER(valgrind_id);
	munmap(own_stack, own_size);
	own_stack = NULL;
}

static void install(struct on_signal *s)
{
	struct sigaction sa = { .sa_sigaction = on_fault,
				.sa_flags = SA_SIGINFO | SA_ONSTACK };

	if (s->installed)
		return;
	sigemptyset(&sa.sa_mask);
	s->installed = !sigaction(s->number, &sa, &s->former);
}

/* Unless another handler has been put above, which calls this one as its former: then
 * it stays. */
static void uninstall(struct on_signal *s)
{
	struct sigaction now;

	if (sigaction(s->number, NULL, &now) || !(now.sa_flags & SA_SIGINFO) ||
	    now.sa_sigaction != on_fault)
		return;
	s->installed = !!sigaction(s->number, &s->former, NULL);
}

int an__stack_overflow_enter(size_t (*describe)(const void *address, char *buf,
						size_t cap))
{
	int r;

	if (describe_fault)
		return AN_ERR_MISUSE;
	r = give_alternate_stack();
	if (r < 0)
		return r;
	describe_fault = describe;
	pthread_mutex_lock(&lock);
	if (!entered++) {
		install(&on_segv);
		install(&on_bus);
	}
	pthread_mutex_unlock(&lock);
	return 0;
}

void an__stack_overflow_leave(void)
{
	if (!describe_fault)
		return;
	pthread_mutex_lock(&lock);
	if (!--entered) {
		uninstall(&on_segv);
		uninstall(&on_bus);
	}
	pthread_mutex_unlock(&lock);
	describe_fault = NULL;
	take_alternate_stack();
}

/* Of those who had entered this thread alone is left, if it had. */
void an__overflow_forked(void)
{
	pthread_mutex_init(&lock, NULL);
	entered = describe_fault ? 1 : 0;
	if (!entered) {
		uninstall(&on_segv);
		uninstall(&on_bus);
	}
}
