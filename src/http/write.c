/* Writing heads. L4, sans-I/O.
 *
 * Invariant: nothing reaches `data` that a reader could take for the end of a field or of
 * the head, whatever the caller passed (response splitting, request smuggling).
 */
#include "http/write.h"
#include "loop/base/alloc.h"

#include "http/headers.h"
#include "http/scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void an__http_writer_init(an__http_writer *w, char *memory, size_t capacity)
{
	*w = (an__http_writer){ .data = memory, .capacity = capacity };
}

void an__http_writer_done(an__http_writer *w)
{
	if (w->on_heap)
		free(w->data);
	*w = (an__http_writer){ .error = w->error };
}

/* Room for `len` more. Returns false, with the error set, when there is none. */
static bool reserve(an__http_writer *w, size_t len)
{
	size_t capacity = w->capacity < 256 ? 512 : w->capacity * 2;
	char *data;

	if (w->error)
		return false;
	if (len <= w->capacity - w->len)
		return true;
	if (capacity < w->len + len)
		capacity = w->len + len;
	data = w->on_heap ? an__realloc(w->data, capacity) : an__malloc(capacity);
	if (!data) {
		w->error = -ENOMEM;
		return false;
	}
	if (!w->on_heap && w->len)
		memcpy(data, w->data, w->len);
	w->data = data;
	w->capacity = capacity;
	w->on_heap = true;
	return true;
}

void an__http_put(an__http_writer *w, const char *data, size_t len)
{
	if (!reserve(w, len))
		return;
	memcpy(w->data + w->len, data, len);
	w->len += len;
}

void an__http_put_text(an__http_writer *w, const char *text)
{
	an__http_put(w, text, strlen(text));
}

void an__http_put_number(an__http_writer *w, uint64_t n)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	an__http_put(w, digits + at, sizeof(digits) - at);
}

static void refuse(an__http_writer *w)
{
	if (!w->error)
		w->error = -EINVAL;
}

void an__http_put_field(an__http_writer *w, const char *name, const char *value)
{
	size_t name_len = strlen(name), value_len = strlen(value);
	char *out;

	if (!an__http_all(name, name_len, AN__C_TOKEN) ||
	    an__scan_control(value, value + value_len) != value + value_len) {
		refuse(w);
		return;
	}
	if (!reserve(w, name_len + value_len + 4))
		return;
	out = w->data + w->len;
	memcpy(out, name, name_len);
	memcpy(out + name_len, ": ", 2);
	memcpy(out + name_len + 2, value, value_len);
	memcpy(out + name_len + 2 + value_len, "\r\n", 2);
	w->len += name_len + value_len + 4;
}

void an__http_put_request_line(an__http_writer *w, const char *method, const char *target,
			       size_t target_len)
{
	if (!an__http_all(method, strlen(method), AN__C_TOKEN) ||
	    !an__http_all(target, target_len, AN__C_TARGET)) {
		refuse(w);
		return;
	}
	an__http_put_text(w, method);
	an__http_put(w, " ", 1);
	an__http_put(w, target, target_len);
	an__http_put(w, " HTTP/1.1\r\n", 11);
}

void an__http_put_status_line(an__http_writer *w, int status)
{
	const char *reason = an_http_status_text(status);

	if (status < 100 || status > 999) {
		refuse(w);
		return;
	}
	if (status == 200) {
		an__http_put(w, "HTTP/1.1 200 OK\r\n", 17);
		return;
	}
	an__http_put(w, "HTTP/1.1 ", 9);
	an__http_put_number(w, (uint64_t)status);
	an__http_put(w, " ", 1);
	an__http_put_text(w, reason);
	an__http_put(w, "\r\n", 2);
}
