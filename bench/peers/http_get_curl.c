/* http.get32 with libcurl's multi interface: 32 transfers at a time. Usage: http_get_curl
 * PORT */
#include "bench/measure.h"

#include <curl/curl.h>

#define CONNECTIONS 32
#define SLICES 15
#define REQUESTS 1000

static size_t drop(char *data, size_t size, size_t count, void *arg)
{
	(void)data;
	(void)arg;
	return size * count;
}

int main(int argc, char **argv)
{
	static struct measure measure;
	int running, left, done = 0, total = 0;
	char url[64];
	CURLM *multi;
	CURLMsg *message;

	if (argc < 2)
		return 2;
	snprintf(url, sizeof url, "http://127.0.0.1:%s/", argv[1]);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	multi = curl_multi_init();
	for (int i = 0; i < CONNECTIONS; i++) {
		CURL *easy = curl_easy_init();

		curl_easy_setopt(easy, CURLOPT_URL, url);
		curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
		curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, drop);
		curl_multi_add_handle(multi, easy);
	}
	measure_begin(&measure);
	while (total < SLICES * REQUESTS) {
		curl_multi_perform(multi, &running);
		while ((message = curl_multi_info_read(multi, &left))) {
			CURL *easy = message->easy_handle;

			if (message->msg != CURLMSG_DONE ||
			    message->data.result != CURLE_OK)
				return 1;
			total++;
			if (++done == REQUESTS) {
				measure_slice(&measure, REQUESTS);
				done = 0;
			}
			curl_multi_remove_handle(multi, easy);
			curl_multi_add_handle(multi, easy);
		}
		curl_multi_poll(multi, NULL, 0, 1000, NULL);
	}
	return measure_end(&measure);
}
