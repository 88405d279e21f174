/* What a certificate calls somebody, as text: UTF-8 with control characters escaped, so
 * that it may stand in a line of a log. L3. */
#include "config.h"

#include "loop/io/tls-private.h"

#include <arpa/inet.h>

/* RFC 4514 follows RFC 2253. Without ESC_MSB: UTF-8 stays as it is. */
#define NAME_FLAGS (XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB)

/* For what says that it is UTF-8 and is not: each byte above ASCII escaped; and for what
 * is no text of its kind at all: "#" and its encoding. */
#define BYTES_FLAGS XN_FLAG_RFC2253
#define DUMP_FLAGS (XN_FLAG_RFC2253 | ASN1_STRFLGS_DUMP_ALL)

/* What claims to be ASCII may hold anything. */
#define ASCII_FLAGS (ASN1_STRFLGS_ESC_CTRL | ASN1_STRFLGS_ESC_MSB)

/* UTF-8 without the control characters that OpenSSL does not know of (U+0080 to 9F). */
static bool is_text(const char *text, long len)
{
	unsigned long c;
	int n;

	for (; len > 0; text += n, len -= n) {
		n = UTF8_getc((const unsigned char *)text, (int)len, &c);
		if (n <= 0 || (c >= 0x80 && c < 0xa0))
			return false;
	}
	return true;
}

/* First where nobody sees it: OpenSSL prints bytes that are no UTF-8 as they are, and may
 * fail when a half has been printed. */
bool an__tls_print_name(BIO *to, const X509_NAME *name)
{
	BIO *scratch = BIO_new(BIO_s_mem());
	bool whole, good;
	char *text;
	long len;

	if (!scratch)
		return false;
	whole = X509_NAME_print_ex(scratch, name, 0, NAME_FLAGS) >= 0;
	len = BIO_get_mem_data(scratch, &text);
	if (whole && is_text(text, len))
		good = !len || BIO_write(to, text, (int)len) == len;
	else
		good = X509_NAME_print_ex(to, name, 0,
					  whole ? BYTES_FLAGS : DUMP_FLAGS) >= 0;
	BIO_free(scratch);
	return good;
}

static bool print_address(BIO *to, const ASN1_OCTET_STRING *address)
{
	int len = ASN1_STRING_length(address);
	char digits[INET6_ADDRSTRLEN];

	if (len != 4 && len != 16)
		return BIO_puts(to, "?") > 0;
	inet_ntop(len == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(address), digits,
		  sizeof digits);
	return BIO_puts(to, digits) > 0;
}

static bool print_kind(BIO *to, const char *kind, bool with_kind)
{
	return !with_kind || BIO_puts(to, kind) > 0;
}

static bool print_ascii(BIO *to, const ASN1_STRING *text)
{
	return ASN1_STRING_print_ex(to, text, ASCII_FLAGS) >= 0;
}

bool an__tls_print_alt_name(BIO *to, const GENERAL_NAME *name, bool with_kind)
{
	int kind;
	const void *value = GENERAL_NAME_get0_value(name, &kind);

	switch (kind) {
	case GEN_DNS:
		return print_kind(to, "DNS:", with_kind) && print_ascii(to, value);
	case GEN_EMAIL:
		return print_kind(to, "email:", with_kind) && print_ascii(to, value);
	case GEN_URI:
		return print_kind(to, "URI:", with_kind) && print_ascii(to, value);
	case GEN_IPADD:
		return print_kind(to, "IP:", with_kind) && print_address(to, value);
	case GEN_DIRNAME:
		return print_kind(to, "dir:", with_kind) && an__tls_print_name(to, value);
	}
	return BIO_puts(to, "other:?") > 0;
}
