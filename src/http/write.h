/* Writing heads: a growing piece of text that refuses what must not be sent. L4,
 * sans-I/O. */
#ifndef AN_HTTP_WRITE_H
#define AN_HTTP_WRITE_H

#include <asyncnet/http.h>

/* Grows from the caller's memory to the heap. After the first failure nothing more is
 * written, and `error` says why. */
typedef struct an__http_writer {
	char *data;
	size_t len, capacity;
	int error; /* 0; -ENOMEM; -EINVAL: a part that must not be sent */
	bool on_heap;
} an__http_writer;

/* `memory` is borrowed for as long as the writer lives; may be NULL with capacity 0. */
void an__http_writer_init(an__http_writer *w, char *memory, size_t capacity);
void an__http_writer_done(an__http_writer *w);

void an__http_put(an__http_writer *w, const char *data, size_t len);
void an__http_put_text(an__http_writer *w, const char *text);
void an__http_put_number(an__http_writer *w, uint64_t n);

/* "name: value CRLF"; -EINVAL unless the name is a token and the value is without control
 * characters. */
void an__http_put_field(an__http_writer *w, const char *name, const char *value);

/* A request line; -EINVAL unless the method is a token and the target of target
 * characters alone. */
void an__http_put_request_line(an__http_writer *w, const char *method, const char *target,
			       size_t target_len);

/* "HTTP/1.1 200 OK CRLF". */
void an__http_put_status_line(an__http_writer *w, int status);

#endif
