/* The formatter of log lines. See format.h.
 *
 * It walks the format once. Conversions that it knows are written by hand; at the first
 * one that it does not know (floating point, positional arguments, wide characters,
 * unusual flags) the rest of the format and of the arguments goes to vsnprintf, whose
 * state at that point is exactly ours.
 */
#include "log/format.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

/* Where the result goes. `len` counts on when the buffer is full. */
struct out {
	char *dst;
	size_t cap, len;
};

enum length {
	LEN_INT,
	LEN_CHAR,
	LEN_SHORT,
	LEN_LONG,
	LEN_LLONG,
	LEN_SIZE,
	LEN_MAX,
	LEN_PTRDIFF
};

struct spec {
	bool left, zero;
	int width;     /* 0: none */
	int precision; /* -1: none */
	enum length length;
	char conversion;
};

static const char pairs[] = "00010203040506070809101112131415161718192021222324"
			    "25262728293031323334353637383940414243444546474849"
			    "50515253545556575859606162636465666768697071727374"
			    "75767778798081828384858687888990919293949596979899";

static size_t decimal_width(uint64_t n)
{
	size_t width = 1;

	for (;;) {
		if (n < 10)
			return width;
		if (n < 100)
			return width + 1;
		if (n < 1000)
			return width + 2;
		if (n < 10000)
			return width + 3;
		n /= 10000;
		width += 4;
	}
}

size_t an__log_decimal(char *dst, uint64_t n)
{
	size_t width = decimal_width(n), at = width;

	while (n >= 100) {
		at -= 2;
		memcpy(dst + at, pairs + n % 100 * 2, 2);
		n /= 100;
	}
	if (n >= 10)
		memcpy(dst, pairs + n * 2, 2);
	else
		dst[0] = (char)('0' + n);
	return width;
}

void an__log_digits(char *dst, uint32_t n, unsigned digits)
{
	for (; digits >= 2; digits -= 2) {
		memcpy(dst + digits - 2, pairs + n % 100 * 2, 2);
		n /= 100;
	}
	if (digits)
		dst[0] = (char)('0' + n % 10);
}

static void put(struct out *o, const char *src, size_t n)
{
	if (o->len < o->cap) {
		size_t room = o->cap - o->len;

		memcpy(o->dst + o->len, src, n < room ? n : room);
	}
	o->len += n;
}

static void fill(struct out *o, char c, size_t n)
{
	if (o->len < o->cap) {
		size_t room = o->cap - o->len;

		memset(o->dst + o->len, c, n < room ? n : room);
	}
	o->len += n;
}

/* `sign` and what follows it, such as "-" and "0x", stay before zeros. */
static void put_padded(struct out *o, const struct spec *s, const char *sign,
		       size_t sign_len, const char *body, size_t len)
{
	size_t all = sign_len + len;
	size_t pad = (size_t)s->width > all ? (size_t)s->width - all : 0;

	if (pad && !s->left && !s->zero)
		fill(o, ' ', pad);
	if (sign_len)
		put(o, sign, sign_len);
	if (pad && !s->left && s->zero)
		fill(o, '0', pad);
	put(o, body, len);
	if (pad && s->left)
		fill(o, ' ', pad);
}

static void put_hex(struct out *o, const struct spec *s, const char *prefix, uint64_t n)
{
	const char *digits =
		s->conversion == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
	char buf[16];
	size_t at = sizeof buf;

	do {
		buf[--at] = digits[n & 15];
		n >>= 4;
	} while (n);
	put_padded(o, s, prefix, strlen(prefix), buf + at, sizeof buf - at);
}

static void put_unsigned(struct out *o, const struct spec *s, const char *sign,
			 uint64_t n)
{
	char buf[20];
	size_t len;

	/* Without a width, and with room for any number: no copy. */
	if (!s->width && !*sign && o->len + sizeof buf <= o->cap) {
		o->len += an__log_decimal(o->dst + o->len, n);
		return;
	}
	len = an__log_decimal(buf, n);
	put_padded(o, s, sign, strlen(sign), buf, len);
}

static void put_string(struct out *o, const struct spec *s, const char *text)
{
	size_t len;

	if (!text) {
		/* As glibc: nothing when the precision would cut it. */
		text = s->precision >= 0 && s->precision < 6 ? "" : "(null)";
	}
	len = s->precision < 0 ? strlen(text) : strnlen(text, (size_t)s->precision);
	put_padded(o, s, "", 0, text, len);
}

static int64_t get_signed(enum length length, va_list *ap)
{
	switch (length) {
	case LEN_INT:
		return va_arg(*ap, int);
	case LEN_CHAR:
		return (signed char)va_arg(*ap, int);
	case LEN_SHORT:
		return (short)va_arg(*ap, int);
	case LEN_LONG:
		return va_arg(*ap, long);
	case LEN_LLONG:
		return va_arg(*ap, long long);
	case LEN_SIZE:
		return va_arg(*ap, ssize_t);
	case LEN_MAX:
		return va_arg(*ap, intmax_t);
	case LEN_PTRDIFF:
		return va_arg(*ap, ptrdiff_t);
	}
	return 0;
}

static uint64_t get_unsigned(enum length length, va_list *ap)
{
	switch (length) {
	case LEN_INT:
		return va_arg(*ap, unsigned);
	case LEN_CHAR:
		return (unsigned char)va_arg(*ap, unsigned);
	case LEN_SHORT:
		return (unsigned short)va_arg(*ap, unsigned);
	case LEN_LONG:
		return va_arg(*ap, unsigned long);
	case LEN_LLONG:
		return va_arg(*ap, unsigned long long);
	case LEN_SIZE:
		return va_arg(*ap, size_t);
	case LEN_MAX:
		return va_arg(*ap, uintmax_t);
	case LEN_PTRDIFF:
		return (uint64_t)va_arg(*ap, ptrdiff_t);
	}
	return 0;
}

/* A number in the format, or -1 when there is none; *p behind it. Above 9999, -2. */
static int scan_number(const char **p)
{
	int n = -1;

	while (**p >= '0' && **p <= '9') {
		n = (n < 0 ? 0 : n * 10) + (**p - '0');
		if (n > 9999)
			return -2;
		++*p;
	}
	return n;
}

static enum length scan_length(const char **p)
{
	char c = **p;

	if (c == 'l' || c == 'h') {
		bool twice = (*p)[1] == c;

		*p += twice ? 2 : 1;
		if (c == 'l')
			return twice ? LEN_LLONG : LEN_LONG;
		return twice ? LEN_CHAR : LEN_SHORT;
	}
	if (c == 'z' || c == 'j' || c == 't') {
		++*p;
		return c == 'z' ? LEN_SIZE : c == 'j' ? LEN_MAX : LEN_PTRDIFF;
	}
	return LEN_INT;
}

/* Whether the conversions written here cover this one. `*` is looked for by the caller.
 */
static bool known(const struct spec *s)
{
	switch (s->conversion) {
	case 'd':
	case 'i':
	case 'u':
	case 'x':
	case 'X':
		return s->precision < 0;
	case 's':
		return s->length == LEN_INT && !s->zero;
	case 'c':
	case 'p':
		return s->length == LEN_INT && !s->zero && s->precision < 0;
	}
	return false;
}

/* Reads what follows a '%' up to its conversion. `stars` tells how many arguments it
 * takes for width and precision: 1 the width, 2 the precision. Returns what lies behind,
 * or NULL when the conversion is not known here; no argument has been taken then. */
static const char *scan_spec(const char *p, struct spec *s, unsigned *stars)
{
	*s = (struct spec){ .precision = -1, .conversion = '?' };
	*stars = 0;
	for (;; p++) {
		if (*p == '-')
			s->left = true;
		else if (*p == '0')
			s->zero = true;
		else
			break;
	}
	if (*p == '*') {
		*stars |= 1;
		p++;
	} else if (*p >= '1' && *p <= '9') {
		s->width = scan_number(&p);
		if (s->width < 0)
			return NULL;
	}
	if (*p == '.') {
		p++;
		if (*p == '*') {
			*stars |= 2;
			s->precision = 0;
			p++;
		} else {
			s->precision = scan_number(&p);
			if (s->precision == -2)
				return NULL;
			if (s->precision == -1)
				s->precision = 0;
		}
	}
	s->length = scan_length(&p);
	s->conversion = *p;
	return known(s) ? p + 1 : NULL;
}

static void put_argument(struct out *o, const struct spec *s, va_list *ap)
{
	char c;

	switch (s->conversion) {
	case 'd':
	case 'i': {
		int64_t n = get_signed(s->length, ap);
		/* Negated as unsigned: INT64_MIN has no positive twin. */
		put_unsigned(o, s, n < 0 ? "-" : "", n < 0 ? -(uint64_t)n : (uint64_t)n);
		break;
	}
	case 'u':
		put_unsigned(o, s, "", get_unsigned(s->length, ap));
		break;
	case 'x':
	case 'X':
		put_hex(o, s, "", get_unsigned(s->length, ap));
		break;
	case 's':
		put_string(o, s, va_arg(*ap, const char *));
		break;
	case 'c':
		c = (char)va_arg(*ap, int);
		put_padded(o, s, "", 0, &c, 1);
		break;
	case 'p': {
		uintptr_t n = (uintptr_t)va_arg(*ap, void *);
		if (n)
			put_hex(o, s, "0x", n);
		else
			put_padded(o, s, "", 0, "(nil)", 5);
		break;
	}
	}
}

/* Copies what stands before the next '%' or the end, and returns where that is. Byte by
 * byte: the pieces are so short that calls would cost more. The locals tell the compiler
 * that no byte stored is one of *o. */
static const char *put_literal(struct out *o, const char *format)
{
	size_t room = o->len < o->cap ? o->cap - o->len : 0, n = 0;
	char *dst = o->dst + o->len;

	for (; n < room; n++) {
		char c = format[n];

		if (!c || c == '%') {
			o->len += n;
			return format + n;
		}
		dst[n] = c;
	}
	n = (size_t)(strchrnul(format + n, '%') - format);
	o->len += n;
	return format + n;
}

static void put_rest(struct out *o, const char *format, va_list *ap)
{
	char none;
	size_t room = o->len < o->cap ? o->cap - o->len : 0;
	int n;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	/* The byte behind `cap` takes the NUL. */
	n = vsnprintf(room ? o->dst + o->len : &none, room ? room + 1 : 1, format, *ap);
#pragma GCC diagnostic pop
	if (n > 0)
		o->len += (size_t)n;
}

size_t an__log_format(char *dst, size_t cap, const char *format, va_list ap_in)
{
	struct out o = { .dst = dst, .cap = cap };
	va_list ap;

	va_copy(ap, ap_in);
	for (;;) {
		const char *percent = put_literal(&o, format);
		struct spec s;
		unsigned stars;

		if (!*percent)
			break;
		if (percent[1] == '%') {
			put(&o, "%", 1);
			format = percent + 2;
			continue;
		}
		format = scan_spec(percent + 1, &s, &stars);
		if (!s.conversion) { /* the format ends too early */
			put(&o, percent, strlen(percent));
			break;
		}
		if (!format) {
			put_rest(&o, percent, &ap);
			break;
		}
		if (stars & 1) {
			int width = va_arg(ap, int);
			if (width < 0)
				s.left = true;
			s.width = width == INT_MIN ? 0 : width < 0 ? -width : width;
		}
		if (stars & 2) {
			int precision = va_arg(ap, int);
			s.precision = precision < 0 ? -1 : precision;
		}
		put_argument(&o, &s, &ap);
	}
	va_end(ap);
	return o.len;
}
