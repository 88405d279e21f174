/* http.get32: 32 tasks that GET over kept connections. Usage: http_get PORT */
#include "bench/measure.h"

#include <asyncnet/asyncnet.h>
#include <asyncnet/http_client.h>

#define CONNECTIONS 32
#define SLICES 30
#define REQUESTS 2000

struct bench {
	an_http_client *client;
	char url[64];
	int done, total;
	struct measure measure;
};

static int get(struct bench *b)
{
	an_http_response *response;
	const char *body;
	size_t length;
	int r = an_http_get(b->client, b->url, &response);

	if (r < 0)
		return r;
	r = an_http_response_read_all(response, 0, &body, &length);
	if (r == 0 && length != 100)
		r = AN_ERR_TRUNCATED;
	an_http_response_free(response);
	return r;
}

static int gets(void *arg)
{
	struct bench *b = arg;

	while (b->total < SLICES * REQUESTS) {
		int r = get(b);

		if (r < 0)
			return r;
		b->total++;
		if (++b->done == REQUESTS) {
			measure_slice(&b->measure, REQUESTS);
			b->done = 0;
		}
	}
	return 0;
}

static int bench(void *arg)
{
	static struct bench b;
	an_group group;
	int r = an_http_client_new(&(an_http_client_opts){ .max_per_host = CONNECTIONS,
							   .max_idle = CONNECTIONS },
				   &b.client);

	if (r < 0)
		return r;
	snprintf(b.url, sizeof b.url, "http://127.0.0.1:%s/", (const char *)arg);
	measure_begin(&b.measure);
	an_group_begin(&group);
	for (int i = 0; i < CONNECTIONS; i++)
		an_group_spawn(&group, gets, &b);
	r = an_group_end(&group);
	an_http_client_free(b.client);
	return r < 0 ? r : measure_end(&b.measure);
}

int main(int argc, char **argv)
{
	return argc < 2 || an_run(bench, argv[1], NULL) ? 1 : 0;
}
