/* Lines of text and JSON. See line.h.
 *
 * The message is formatted where it will stand; only when it holds something that needs
 * escaping is it copied away and written back escaped. The date is computed once a
 * second.
 *
 * Invariant: an escape is never cut in two, nor a UTF-8 sequence; whatever is written is
 * valid UTF-8.
 */
#include "log/line.h"
#include "loop/base/alloc.h"

#include "log/format.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX 128
#define TASK_MAX 31

int an__log_liner_init(an__log_liner *l, an_log_format format, size_t max_message)
{
	memset(l, 0, sizeof *l);
	l->format = format;
	l->max_message = max_message;
	l->second = INT64_MIN;
	l->text = an__malloc(max_message + AN__LOG_LINE_EXTRA);
	l->raw = an__malloc(max_message);
	if (!l->text || !l->raw) {
		an__log_liner_done(l);
		return -ENOMEM;
	}
	return 0;
}

void an__log_liner_done(an__log_liner *l)
{
	free(l->text);
	free(l->raw);
	l->text = l->raw = NULL;
}

/* ---- time ------------------------------------------------------------------------ */

/* The civil date of a day counted from 1970-01-01, in the Gregorian calendar. Years are
 * counted from March, so that the leap day is their last, and in eras of 400 years, which
 * are all alike. */
static void civil_date(int64_t days, int64_t *ret_year, unsigned *ret_month,
		       unsigned *ret_day)
{
	int64_t shifted = days + 719468; /* from 0000-03-01 */
	int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
	unsigned of_era = (unsigned)(shifted - era * 146097);
	unsigned year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	unsigned of_year = of_era - (365 * year + year / 4 - year / 100);
	unsigned month = (5 * of_year + 2) / 153;

	*ret_day = of_year - (153 * month + 2) / 5 + 1;
	*ret_month = month < 10 ? month + 3 : month - 9;
	*ret_year = era * 400 + year + (*ret_month <= 2);
}

static void set_second(an__log_liner *l, int64_t second)
{
	int64_t days = second / 86400, rest = second % 86400, year;
	unsigned month, day;
	char *s = l->stamp;

	if (rest < 0) {
		rest += 86400;
		days--;
	}
	civil_date(days, &year, &month, &day);
	memcpy(s, "0000-00-00T00:00:00.", 20);
	an__log_digits(s, (uint32_t)(year % 10000), 4);
	an__log_digits(s + 5, month, 2);
	an__log_digits(s + 8, day, 2);
	an__log_digits(s + 11, (uint32_t)(rest / 3600), 2);
	an__log_digits(s + 14, (uint32_t)(rest / 60 % 60), 2);
	an__log_digits(s + 17, (uint32_t)(rest % 60), 2);
	l->second = second;
}

/* 27 bytes: "2026-01-31T12:00:00.123456Z". */
static char *put_time(an__log_liner *l, char *p, int64_t time)
{
	int64_t second = time / 1000000000, nanos = time % 1000000000;

	if (nanos < 0) {
		nanos += 1000000000;
		second--;
	}
	if (second != l->second)
		set_second(l, second);
	memcpy(p, l->stamp, 20);
	an__log_digits(p + 20, (uint32_t)(nanos / 1000), 6);
	p[26] = 'Z';
	return p + 27;
}

/* ---- escaping -------------------------------------------------------------------- */

#define EACH_BYTE(b) (0x0101010101010101u * (uint64_t)(b))

static uint64_t has_below(uint64_t word, unsigned char limit)
{
	return (word - EACH_BYTE(limit)) & ~word & EACH_BYTE(0x80);
}

/* The bytes of a word that need a look, if any: not printable ASCII, and in JSON quote
 * and backslash. */
static inline uint64_t suspects(uint64_t word, bool json)
{
	uint64_t bad = has_below(word, 0x20) | (word & EACH_BYTE(0x80)) |
		       has_below(word ^ EACH_BYTE(0x7f), 1);

	if (json)
		bad |= has_below(word ^ EACH_BYTE('"'), 1) |
		       has_below(word ^ EACH_BYTE('\\'), 1);
	return bad;
}

/* Whether there is nothing to escape. */
static bool is_plain(const char *s, size_t n, bool json)
{
	uint64_t bad = 0, word;

	for (; n >= 8; s += 8, n -= 8) {
		memcpy(&word, s, 8);
		bad |= suspects(word, json);
	}
	word = EACH_BYTE('a');
	for (size_t i = 0; i < n; i++)
		word = word << 8 | (unsigned char)s[i];
	return !(bad | suspects(word, json));
}

/* The length of the UTF-8 sequence at `s` (RFC 3629, section 4) if it is one of a
 * printable character; 0 when it is not. The control characters U+0080 to U+009F count as
 * not printable: U+009B starts a terminal's sequences as ESC [ does. */
static int sequence(const unsigned char *s, size_t n)
{
	unsigned char low = 0x80, high = 0xbf;
	int len;

	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	len = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (s[0] == 0xc2 || s[0] == 0xe0)
		low = 0xa0; /* C1 controls; overlong */
	else if (s[0] == 0xf0)
		low = 0x90; /* overlong */
	else if (s[0] == 0xed)
		high = 0x9f; /* surrogates */
	else if (s[0] == 0xf4)
		high = 0x8f; /* above U+10FFFF */
	for (int i = 1; i < len; i++) {
		if ((size_t)i == n || s[i] < low || s[i] > high)
			return 0;
		low = 0x80;
		high = 0xbf;
	}
	return len;
}

/* Writes the escape of one byte; returns its length, at most 6. */
static size_t escape_byte(unsigned char c, bool json, char *dst)
{
	static const char hex[] = "0123456789abcdef";
	char brief = c == '\n' ? 'n' : c == '\r' ? 'r' : c == 0x1b && !json ? 'e' : 0;

	if (json && (c == '"' || c == '\\' || c == '\t'))
		brief = c == '\t' ? 't' : (char)c;
	if (brief) {
		dst[0] = '\\';
		dst[1] = brief;
		return 2;
	}
	if (!json) {
		memcpy(dst, (char[]){ '\\', 'x', hex[c >> 4], hex[c & 15] }, 4);
		return 4;
	}
	if (c >= 0x80) /* U+FFFD: JSON has no way to say which byte it was */
		memcpy(dst, "\\ufffd", 6);
	else
		memcpy(dst, (char[]){ '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] }, 6);
	return 6;
}

/* Escapes `n` bytes into at most `room` and returns the bytes written; how many of `n`
 * were used goes to *ret_used. A sequence that the end of `src` cuts short is escaped
 * only if there is more room than `n`: where a message was cut to fit it is left out. */
static size_t escape(const char *src, size_t n, bool json, char *dst, size_t room,
		     size_t *ret_used)
{
	const unsigned char *s = (const unsigned char *)src;
	size_t used = 0, len = 0;

	while (used < n) {
		unsigned char c = s[used];
		char out[6];
		size_t out_len, step = 1;

		if (c >= 0x80) {
			int found = sequence(s + used, n - used);
			if (found > 0)
				step = (size_t)found;
		}
		if (step > 1 ||
		    (c >= 0x20 && c < 0x7f && !(json && (c == '"' || c == '\\'))) ||
		    (c == '\t' && !json)) {
			memcpy(out, s + used, step);
			out_len = step;
		} else {
			out_len = escape_byte(c, json, out);
		}
		if (out_len > room - len)
			break;
		memcpy(dst + len, out, out_len);
		len += out_len;
		used += step;
	}
	*ret_used = used;
	return len;
}

/* ---- the line -------------------------------------------------------------------- */

static char *put(char *p, const char *text)
{
	size_t n = strlen(text);

	memcpy(p, text, n);
	return p + n;
}

static char *put_name(char *p, const char *name, size_t n, bool json)
{
	size_t used;

	if (!is_plain(name, n, json))
		return p + escape(name, n, json, p, 6 * n, &used);
	memcpy(p, name, n);
	return p + n;
}

/* The last FILE_MAX bytes: the end of a path tells more than its beginning. */
static char *put_file(char *p, const char *file, bool json)
{
	size_t n = strlen(file);

	if (n > FILE_MAX) {
		file += n - FILE_MAX;
		n = FILE_MAX;
	}
	return put_name(p, file, n, json);
}

static char *put_number(char *p, int n)
{
	if (n < 0)
		*p++ = '-';
	return p + an__log_decimal(p, n < 0 ? -(uint64_t)n : (uint64_t)n);
}

static char *put_message(an__log_liner *l, char *p, const char *format, va_list ap)
{
	bool json = l->format == AN_LOG_JSON;
	size_t full = an__log_format(p, l->max_message, format, ap);
	size_t n = full < l->max_message ? full : l->max_message;
	size_t used = n;

	if (is_plain(p, n, json)) {
		p += n;
	} else {
		memcpy(l->raw, p, n);
		p += escape(l->raw, n, json, p, l->max_message, &used);
	}
	if (used < full) {
		p = put(p, "...[+");
		p += an__log_decimal(p, full - used);
		p = put(p, " bytes]");
	}
	return p;
}

static char *put_text_head(an__log_liner *l, char *p, const an__log_place *place)
{
	static const char names[][8] = { "?     ", "TRACE ", "DEBUG ", "INFO  ",
					 "WARN  ", "ERROR ", "FATAL " };
	unsigned level = place->level;

	p = put_time(l, p, place->time);
	*p++ = ' ';
	memcpy(p, names[level <= AN_LOG_FATAL ? level : 0], 6);
	p += 6;
	*p++ = '[';
	if (place->task)
		p = put_name(p, place->task, strnlen(place->task, TASK_MAX), false);
	else
		*p++ = '-';
	*p++ = ']';
	*p++ = ' ';
	if (place->file) {
		p = put_file(p, place->file, false);
		*p++ = ':';
		p = put_number(p, place->line);
		*p++ = ' ';
	}
	return p;
}

static char *put_json_head(an__log_liner *l, char *p, const an__log_place *place)
{
	static const char names[][8] = { "?",	 "trace", "debug", "info",
					 "warn", "error", "fatal" };
	unsigned level = place->level;

	p = put(p, "{\"time\":\"");
	p = put_time(l, p, place->time);
	p = put(p, "\",\"level\":\"");
	p = put(p, names[level <= AN_LOG_FATAL ? level : 0]);
	if (place->task) {
		p = put(p, "\",\"task\":\"");
		p = put_name(p, place->task, strnlen(place->task, TASK_MAX), true);
	}
	if (place->file) {
		p = put(p, "\",\"file\":\"");
		p = put_file(p, place->file, true);
		p = put(p, "\",\"line\":");
		p = put_number(p, place->line);
		return put(p, ",\"message\":\"");
	}
	return put(p, "\",\"message\":\"");
}

size_t an__log_liner_build(an__log_liner *l, const an__log_place *place,
			   const char *format, va_list ap)
{
	char *p = l->text;

	if (l->format == AN_LOG_JSON) {
		p = put_json_head(l, p, place);
		p = put_message(l, p, format, ap);
		p = put(p, "\"}");
	} else {
		p = put_text_head(l, p, place);
		p = put_message(l, p, format, ap);
	}
	*p++ = '\n';
	return (size_t)(p - l->text);
}

size_t an__log_liner_printf(an__log_liner *l, const an__log_place *place,
			    const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	size_t n = an__log_liner_build(l, place, format, ap);
	va_end(ap);
	return n;
}
