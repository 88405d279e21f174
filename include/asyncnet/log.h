/* An asynchronous logger.
 *
 *	an_logger *log;
 *	an_log_new(&(an_log_opts){ .path = "service.log" }, &log);
 *	an_info(log, "listening on port %d", port);
 *
 * A call formats its line into a ring of bytes that belongs to the calling thread's loop,
 * and returns. A task of that loop, started with the first line, hands what has gathered
 * to the offload pool, which writes it in batches. So the loop makes no system call for a
 * line, a slow disk stalls no task, and memory stays bounded: when the ring is full,
 * lines are dropped and counted, and the log itself says how many and where.
 *
 * Outside a loop, before it runs and after it ended, and on other threads, offload
 * workers among them, the call writes its line before it returns.
 *
 * A text line, times in UTC:
 *	2026-01-31T12:00:00.123456Z INFO  [task-3] server.c:42 listening on port 80
 * `-` stands for the task outside of one. In JSON:
 *	{"time":"...","level":"info","task":"task-3","file":"server.c","line":42,
 *	 "message":"..."}      (one line)
 * Control characters, except for the tab, and invalid UTF-8 are escaped, so that what a
 * peer sends can neither forge a line nor steer a terminal. In text a byte becomes \n,
 * \r, \e or \xNN; backslashes are left as they are, so only JSON can be read back without
 * doubt.
 *
 * Order: lines of one thread keep their order; lines of different threads that leave in
 * one batch are sorted by time.
 *
 * Fork: the child starts with empty rings, since the parent writes what is in them, and
 * writes each line before the call returns. A vfork or posix_spawn child must not log.
 *
 * Not async-signal-safe: a signal handler must not log (an_log_reopen() may be called
 * there). A crash loses what the last batch did not cover: at most `delay` and one write.
 */
#ifndef ASYNCNET_LOG_H
#define ASYNCNET_LOG_H

#include <asyncnet/api.h>
#include <asyncnet/time.h>
#include <asyncnet/trace.h>

AN_BEGIN_DECLS

/* Only `limit` may be touched, by an_log_enabled(). */
typedef struct an_logger {
	int limit; /* lowest level that is logged; read and written atomically */
} an_logger;

/* How a line is written; see above. AN_LOG_TEXT is the default. */
typedef enum an_log_format {
	AN_LOG_TEXT,
	AN_LOG_JSON,
} an_log_format;

/* What happens to a line when its loop's ring is full; AN_LOG_DROP is the default. */
typedef enum an_log_overflow {
	/* It is dropped and counted. The last eighth of the ring is kept for AN_LOG_WARN
	 * and above, so a flood of lesser lines does not hide what went wrong. */
	AN_LOG_DROP,
	/* Below AN_LOG_WARN the same. Others are written by the caller, after all that is
	 * in the ring: the loop stands still for the time of the writes. If they fail it
	 * is dropped. */
	AN_LOG_BLOCK,
} an_log_overflow;

/* How a logger is made: the options of an_log_new(). */
typedef struct an_log_opts {
	/* Where lines go; the first one that is set counts; none: stderr. */

	/* A function that gets one line with its newline, `len` bytes, borrowed for the
	 * call, in the order of the log. Calls come one after another, mostly from a
	 * worker thread, and from the caller of a log function where that writes itself.
	 * It may block and must not suspend. What it logs to the same logger is dropped
	 * and counted, since each line would make the next. */
	void (*sink)(void *arg, an_log_level level, const char *line, size_t len);
	void *sink_arg;	  /* borrowed until an_log_free() */
	const char *path; /* a file, opened for appending and made if needed; copied */
	/* A descriptor, borrowed until an_log_free(); 0: none. What SIGPIPE does is the
	 * program's to decide. */
	int fd;

	an_log_level level;	  /* lowest level that is logged; 0: AN_LOG_INFO */
	an_log_format format;	  /* wherever the lines go */
	an_log_overflow overflow; /* see there */
	/* Bytes for each loop, rounded up to a power of two with room for at least four
	 * messages; at most 1 GiB. 0: 1 MiB, some 10000 lines: what is logged in one turn
	 * of the loop has to fit, since only between turns is the ring handed over. */
	size_t ring_size;
	/* Bytes of a message, escapes counted; what is beyond is cut, and a mark says so.
	 * 64 to 32768; 0: 4096, more than a line for people should have. */
	size_t max_message;
	/* How long a line may wait for others to leave with; AN_LOG_WARN and above do
	 * not wait. At most an hour; 0: 10 ms, which makes at most 100 hand-overs a
	 * second. */
	an_duration delay;
	unsigned mode; /* of a new file, less the umask; 0: 0640 */
} an_log_opts;

/* Makes a logger. It can be used by all threads until an_log_free(). `opts` may be NULL;
 * it is copied. Opens the file, so it may block; never suspends.
 * Returns 0; -ENOMEM; -EINVAL for values outside the limits; the error of open(2). */
AN_API int an_log_new(const an_log_opts *opts, an_logger **ret);

/* Writes what is left on the calling thread and frees the logger; what cannot be written
 * is lost, and a line on stderr says so. Takes its trace hooks away. Never suspends, but
 * blocks for the writes. No thread may use the logger any more. Accepts NULL, returns
 * NULL. */
AN_API an_logger *an_log_free(an_logger *logger);

/* Waits until every line that the calling thread logged has been written, that is, handed
 * to the kernel, or to the sink. Suspends.
 * Returns 0; -ECANCELED (writing goes on); AN_ERR_NO_TASK; the error of a write that
 * failed: the lines are still there, and are tried again after a pause. */
AN_API AN_SUSPENDS int an_log_flush(an_logger *logger);

/* Ends the logger's task on this loop after all lines have been written; later ones are
 * written by their callers. Optional: the end of the loop does the same, on the loop's
 * thread. Suspends.
 * Returns 0, also when there is no such task; -ECANCELED (the task ends all the same);
 * AN_ERR_NO_TASK; the error of a write that failed: the lines stay for the next attempt,
 * at the next line or in an_log_free(). */
AN_API AN_SUSPENDS int an_log_stop(an_logger *logger);

/* Has the file opened anew before the next batch, for a rotation by renaming; a file that
 * was renamed or removed is noticed without it. Never suspends; async-signal-safe. No
 * effect on other sinks. */
AN_API void an_log_reopen(an_logger *logger);

/* Changes the lowest level that is logged; AN_LOG_OFF: none. From any thread.
 * Returns the former. */
AN_API an_log_level an_log_set_level(an_logger *logger, an_log_level level);

/* Sends the library's own messages to this logger: installs the hooks of trace.h.
 * Returns 0; AN_ERR_MISUSE when called from a hook. */
AN_API int an_log_install_trace(an_logger *logger);

/* What a logger has done, counted since it was made, or since the fork that made this
 * process. */
typedef struct an_log_stats {
	uint64_t records; /* lines that were taken */
	uint64_t dropped; /* lines that were not: no room, or logged by the sink itself */
	uint64_t written; /* lines that reached the file or the sink */
	uint64_t bytes;	  /* of everything that reached it */
	uint64_t batches; /* writes that succeeded */
	uint64_t errors;  /* writes and openings that failed */
	uint64_t reopens; /* times that the file was opened again */
	uint64_t queued;  /* bytes in the rings now */
} an_log_stats;

/* The counters as they are now. Never suspends. A line on its way may be missing in
 * one number and be there in another; after a flush, records == written on an otherwise
 * quiet logger. */
AN_API void an_log_get_stats(an_logger *logger, an_log_stats *ret);

/* ---- call sites ------------------------------------------------------------------ */

/* Whether a line of that level would be logged: one load and compare. NULL: no. */
static inline bool an_log_enabled(const an_logger *logger, an_log_level level)
{
	return logger && (int)level >= __atomic_load_n(&logger->limit, __ATOMIC_RELAXED);
}

/* Logs a line without looking at the level's limit; the macros below do that first.
 * `logger` must not be NULL; `file` may be: no place is shown. It and the format are not
 * kept. The format is printf's; %d %i %u %x %X %s %c %p with the flags - and 0, widths, a
 * string's precision and lengths are fast; the first other one and all behind it go to
 * vsnprintf. %m is the caller's errno; errno is left as it was.
 * Never suspends. In a loop it does not block, except as `overflow` says and for
 * AN_LOG_FATAL, which is written, with all that was logged before it, when the call
 * returns. Needs 1 KiB of stack, with floating point 8 KiB. */
AN_API void an_log_emit(an_logger *logger, an_log_level level, const char *file, int line,
			const char *format, ...) AN_PRINTF(5, 6);

/* The place that the macros show: the file's name, without folders where the compiler can
 * say it. To be defined before this header for another one. */
#ifndef AN_LOG_FILE
#ifdef __FILE_NAME__
#define AN_LOG_FILE __FILE_NAME__
#else
#define AN_LOG_FILE __FILE__
#endif
#endif

/* Logs a line if its level is to be logged; only then are the arguments behind the level
 * evaluated. `logger` may be NULL, and is evaluated twice. */
#define an_log(logger, level, ...) \
	do { \
		if (an_log_enabled((logger), (level))) \
			an_log_emit((logger), (level), AN_LOG_FILE, __LINE__, \
				    __VA_ARGS__); \
	} while (0)

/* The same with the level of the name. */
#define an_trace(logger, ...) an_log(logger, AN_LOG_TRACE, __VA_ARGS__)
#define an_debug(logger, ...) an_log(logger, AN_LOG_DEBUG, __VA_ARGS__)
#define an_info(logger, ...) an_log(logger, AN_LOG_INFO, __VA_ARGS__)
#define an_warn(logger, ...) an_log(logger, AN_LOG_WARN, __VA_ARGS__)
#define an_error(logger, ...) an_log(logger, AN_LOG_ERROR, __VA_ARGS__)
#define an_fatal(logger, ...) an_log(logger, AN_LOG_FATAL, __VA_ARGS__)

AN_END_DECLS

#endif
