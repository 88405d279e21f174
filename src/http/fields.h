/* What the fields that frame and route a message mean. L4, sans-I/O. For parse.c
 * alone. */
#ifndef AN_HTTP_FIELDS_H
#define AN_HTTP_FIELDS_H

#include "http/parse.h"

/* Notes the status to answer and the reason; returns AN_ERR_MALFORMED. */
int an__http_fail(an__http_head *h, int answer, const char *why);

/* Takes note of a field of a known kind. Returns 0; AN_ERR_MALFORMED. */
int an__http_field_seen(an__http_head *h, int id, const char *value, size_t len);

/* The checks of the whole head, and the framing. Return 0; AN_ERR_MALFORMED. */
int an__http_finish_request(an__http_head *h, const char *data);
int an__http_finish_response(an__http_head *h);

/* Whether a field frames, routes or authenticates, and so is dropped from trailers: RFC
 * 9110 section 6.5.1. */
bool an__http_trailer_forbidden(const char *name, size_t len);

#endif
