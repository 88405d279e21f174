/* printf into a buffer, fast for what log lines are made of. Beside L3: no loop, no I/O.
 */
#ifndef AN_LOG_FORMAT_H
#define AN_LOG_FORMAT_H

#include <asyncnet/api.h>

#include <stdarg.h>

/* What vsnprintf(dst, cap, format, ap) does, except that no NUL is written: the first
 * `cap` bytes of the result, and the length that it would have had. On an error of
 * vsnprintf (such as a wide character that cannot be encoded) what stands behind it is
 * missing. `dst` must have one byte more than `cap`. Uses errno as it is on entry for %m.
 */
size_t an__log_format(char *dst, size_t cap, const char *format, va_list ap)
	AN_PRINTF(3, 0);

/* Writes n in decimal, returns how many digits: at most 20. */
size_t an__log_decimal(char *dst, uint64_t n);

/* Writes n in exactly `digits` decimal digits, zeros in front. */
void an__log_digits(char *dst, uint32_t n, unsigned digits);

#endif
