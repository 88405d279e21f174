/* io.download and io.download_tls with libcurl, a buffer as large as the others'. Usage:
 * download_curl http|https PORT */
#include "bench/measure.h"

#include <curl/curl.h>

#define SLICE (32 << 20)

static struct measure measure;
static size_t in_slice;

static size_t take(char *data, size_t size, size_t count, void *arg)
{
	(void)data;
	(void)arg;
	in_slice += size * count;
	if (in_slice >= SLICE) {
		measure_slice(&measure, (double)in_slice / 1024);
		in_slice = 0;
	}
	return size * count;
}

int main(int argc, char **argv)
{
	char url[64];
	CURL *curl;

	if (argc < 3)
		return 2;
	snprintf(url, sizeof url, "%s://127.0.0.1:%s/", argv[1], argv[2]);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	curl = curl_easy_init();
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, 256L * 1024);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
	measure_begin(&measure);
	if (curl_easy_perform(curl) != CURLE_OK)
		return 1;
	curl_easy_cleanup(curl);
	return measure_end(&measure);
}
