/* One record as a line of text or JSON. Beside L3: no loop, no I/O. */
#ifndef AN_LOG_LINE_H
#define AN_LOG_LINE_H

#include <asyncnet/log.h>

#include <stdarg.h>

/* What a line needs beside its message: time, level, a task's name of 31 bytes and 128
 * bytes of a file's name, each byte escaped to six at worst, the keys of JSON, the mark
 * of a cut. */
#define AN__LOG_LINE_EXTRA 1280

/* What a line says beside its message. */
typedef struct an__log_place {
	int64_t time; /* ns since 1970, UTC */
	an_log_level level;
	const char *task; /* NULL: outside of one */
	const char *file; /* NULL: no place is shown */
	int line;
} an__log_place;

/* Builds lines for one producer. */
typedef struct an__log_liner {
	char *text; /* the last line built, with its newline; not NUL-terminated */
	char *raw;  /* a message before it is escaped */
	size_t max_message;
	an_log_format format;
	int64_t second; /* that `stamp` holds */
	char stamp[20]; /* "2026-01-31T12:00:00." */
} an__log_liner;

/* Returns 0; -ENOMEM. */
int an__log_liner_init(an__log_liner *l, an_log_format format, size_t max_message);
void an__log_liner_done(an__log_liner *l);

/* Builds a line in l->text. Returns its length, at most max_message + AN__LOG_LINE_EXTRA.
 */
size_t an__log_liner_build(an__log_liner *l, const an__log_place *place,
			   const char *format, va_list ap) AN_PRINTF(3, 0);

size_t an__log_liner_printf(an__log_liner *l, const an__log_place *place,
			    const char *format, ...) AN_PRINTF(3, 4);

#endif
