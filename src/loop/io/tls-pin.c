/* Pins: digests of public keys that are known beforehand (RFC 7469, 2.4). L3. */
#include "config.h"

#include "loop/base/alloc.h"
#include "loop/io/tls-private.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <string.h>

/* OpenSSL's decoder takes more than base64 says, so the text must come back. */
static int decode(const char *pin, unsigned char ret[AN__TLS_DIGEST])
{
	unsigned char binary[AN__TLS_PIN_TEXT / 4 * 3];
	unsigned char text[AN__TLS_PIN_TEXT + 1];

	if (strlen(pin) != AN__TLS_PIN_TEXT ||
	    EVP_DecodeBlock(binary, (const unsigned char *)pin, AN__TLS_PIN_TEXT) < 0)
		return -EINVAL;
	EVP_EncodeBlock(text, binary, AN__TLS_DIGEST);
	if (memcmp(text, pin, AN__TLS_PIN_TEXT) != 0)
		return -EINVAL;
	memcpy(ret, binary, AN__TLS_DIGEST);
	return 0;
}

int an__tls_pins_copy(an_tls *tls, const char *const *pins)
{
	size_t n = 0;
	int r = 0;

	while (pins[n])
		n++;
	if (!n)
		return -EINVAL;
	tls->pins = an__calloc(n, sizeof *tls->pins);
	if (!tls->pins)
		return -ENOMEM;
	for (size_t i = 0; i < n && !r; i++)
		r = decode(pins[i], tls->pins[i]);
	tls->pin_count = n;
	return r;
}

bool an__tls_pin_of(X509 *cert, unsigned char ret[AN__TLS_DIGEST])
{
	unsigned char *der = NULL;
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
	bool done =
		len > 0 && EVP_Digest(der, (size_t)len, ret, NULL, EVP_sha256(), NULL);

	OPENSSL_free(der);
	return done;
}

bool an__tls_pinned(const an_tls *tls, X509 *cert)
{
	unsigned char digest[AN__TLS_DIGEST];

	if (!an__tls_pin_of(cert, digest))
		return false;
	for (size_t i = 0; i < tls->pin_count; i++)
		if (memcmp(tls->pins[i], digest, sizeof digest) == 0)
			return true;
	return false;
}
