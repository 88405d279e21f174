/* What the tests of the HTTP client have in common. */
#ifndef TESTS_INTEGRATION_HTTP_CLIENT_H
#define TESTS_INTEGRATION_HTTP_CLIENT_H

#include "tests/integration/http-peer.h"

#include <asyncnet/http_client.h>

/* One GET; the body goes to `buf`, terminated, if it has room. */
static inline int get_body(an_http_client *client, const char *url, int *ret_status,
			   char *buf, size_t cap)
{
	an_http_response *response;
	const char *data;
	size_t len;
	int r;

	r = an_http_get(client, url, &response);
	if (r)
		return r;
	*ret_status = an_http_response_status(response);
	r = an_http_response_read_all(response, 0, &data, &len);
	if (!r && len < cap)
		memcpy(buf, data, len + 1);
	an_http_response_free(response);
	return r;
}

/* get_body() for those who expect 200 and know the body. */
static inline int expect_body(an_http_client *client, const char *url, const char *body)
{
	char buf[4096];
	int status;

	CHECK_EQUAL(get_body(client, url, &status, buf, sizeof(buf)), 0);
	CHECK_EQUAL(status, 200);
	if (strcmp(buf, body)) {
		fprintf(stderr, "the body is \"%s\", not \"%s\"\n", buf, body);
		return CHECK_FAILED;
	}
	return 0;
}

static inline an_http_client_stats stats_of(const an_http_client *client)
{
	an_http_client_stats s;

	an_http_client_get_stats(client, &s);
	return s;
}

#endif
