/* Fuzzes URLs (libFuzzer: make fuzz). What was parsed is written without a byte that
 * could end a line or a field, what was resolved is as long as it says and can be
 * resolved again, and a buffer that is too small is not written beyond.
 */
#include "http/url.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition) \
	do { \
		if (!(condition)) \
			abort(); \
	} while (0)

static const char base[] = "http://a/b/c/d;p?q#f";

static void write_out(const an__url *u)
{
	static const char host_bytes[] = "abcdefghijklmnopqrstuvwxyz0123456789.-_:[]";
	char text[3 * AN__URL_MAX + 2], small[8];
	size_t n = an__url_target(u, text, sizeof text);

	REQUIRE(n <= sizeof text && text[0] == '/');
	for (size_t i = 0; i < n; i++)
		REQUIRE(text[i] > ' ' && text[i] < 0x7f && text[i] != '#');
	REQUIRE(an__url_target(u, small, sizeof small) == n);
	n = an__url_host(u, text, sizeof text);
	for (size_t i = 0; i < n; i++)
		REQUIRE(memchr(host_bytes, text[i], sizeof host_bytes - 1));
}

static long resolve(const char *ref, size_t len, char *buf, size_t cap)
{
	return an__url_resolve(base, sizeof base - 1, ref, len, buf, cap);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char buf[AN__URL_MAX + 1], again[AN__URL_MAX + 1], small[20];
	const char *text = (const char *)data;
	an__url u;
	long n;

	if (!an__url_parse(text, size, &u))
		write_out(&u);
	n = resolve(text, size, buf, sizeof buf);
	if (n >= 0) {
		REQUIRE(strlen(buf) == (size_t)n);
		REQUIRE(resolve(buf, (size_t)n, again, sizeof again) >= 0);
	}
	REQUIRE(resolve(text, size, small, sizeof small) < (long)sizeof small);
	return 0;
}
