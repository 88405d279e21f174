/* The limit of io.download_tls: SSL_read() on the descriptor. Usage: download_tls PORT */
#include "bench/limits/connect.h"
#include "bench/measure.h"

#include <openssl/ssl.h>

#define SLICE (32 << 20)

static char buffer[256 * 1024];

int main(int argc, char **argv)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
	static struct measure measure;
	SSL *ssl = SSL_new(SSL_CTX_new(TLS_client_method()));
	long in_slice = 0;
	int n;

	if (argc < 2)
		return 2;
	SSL_set_fd(ssl, connect_to(argv[1]));
	if (SSL_connect(ssl) != 1 || SSL_write(ssl, request, sizeof request - 1) <= 0)
		return 1;
	measure_begin(&measure);
	while ((n = SSL_read(ssl, buffer, sizeof buffer)) > 0) {
		in_slice += n;
		if (in_slice >= SLICE) {
			measure_slice(&measure, (double)in_slice / 1024);
			in_slice = 0;
		}
	}
	return measure_end(&measure);
}
