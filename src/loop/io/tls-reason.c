/* Why TLS failed, other than for a certificate, in words that say who did what. L3. */
#include "config.h"

#include "loop/io/tls-private.h"

#include <openssl/decodererr.h>
#include <openssl/err.h>
#include <openssl/pemerr.h>
#include <stdio.h>

enum {
	/* The first byte of what a TLS peer says (RFC 8446, 5.1). */
	RECORD_ALERT = 21,
	RECORD_HANDSHAKE = 22,
};

unsigned long an__tls_take_errors(bool *ret_no_memory)
{
	unsigned long first = ERR_peek_error(), code;

	*ret_no_memory = false;
	while ((code = ERR_get_error()))
		*ret_no_memory |= ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE;
	return first;
}

/* ---- what the peer found wrong -------------------------------------------------- */

/* RFC 8446, 6 and its registry. OpenSSL's own words lack some. */
static const char *alert_text(int alert)
{
	switch (alert) {
	case SSL_AD_UNEXPECTED_MESSAGE:
		return "unexpected message";
	case SSL_AD_BAD_RECORD_MAC:
		return "bad record MAC";
	case SSL_AD_RECORD_OVERFLOW:
		return "record overflow";
	case SSL_AD_HANDSHAKE_FAILURE:
		return "handshake failure (nothing in common, or a certificate it needs)";
	case SSL_AD_BAD_CERTIFICATE:
		return "bad certificate";
	case SSL_AD_UNSUPPORTED_CERTIFICATE:
		return "unsupported certificate";
	case SSL_AD_CERTIFICATE_REVOKED:
		return "certificate revoked";
	case SSL_AD_CERTIFICATE_EXPIRED:
		return "certificate expired";
	case SSL_AD_CERTIFICATE_UNKNOWN:
		return "certificate not accepted";
	case SSL_AD_ILLEGAL_PARAMETER:
		return "illegal parameter";
	case SSL_AD_UNKNOWN_CA:
		return "unknown CA";
	case SSL_AD_ACCESS_DENIED:
		return "access denied";
	case SSL_AD_DECODE_ERROR:
		return "decode error";
	case SSL_AD_DECRYPT_ERROR:
		return "decrypt error";
	case SSL_AD_PROTOCOL_VERSION:
		return "protocol version";
	case SSL_AD_INSUFFICIENT_SECURITY:
		return "insufficient security";
	case SSL_AD_INTERNAL_ERROR:
		return "internal error";
	case SSL_AD_INAPPROPRIATE_FALLBACK:
		return "inappropriate fallback";
	case SSL_AD_USER_CANCELLED:
		return "user canceled";
	case SSL_AD_NO_RENEGOTIATION:
		return "no renegotiation";
	case SSL_AD_MISSING_EXTENSION:
		return "missing extension";
	case SSL_AD_UNSUPPORTED_EXTENSION:
		return "unsupported extension";
	case SSL_AD_UNRECOGNIZED_NAME:
		return "unrecognized name";
	case SSL_AD_UNKNOWN_PSK_IDENTITY:
		return "unknown PSK identity";
	case SSL_AD_CERTIFICATE_REQUIRED:
		return "certificate required";
	case SSL_AD_NO_APPLICATION_PROTOCOL:
		return "no application protocol";
	}
	return NULL;
}

static const char *from_peer(int alert, char buf[AN__TLS_REASON_MAX])
{
	const char *text = alert_text(alert);

	if (text)
		snprintf(buf, AN__TLS_REASON_MAX, "peer: %s", text);
	else
		snprintf(buf, AN__TLS_REASON_MAX, "peer: alert %d", alert);
	return buf;
}

/* ---- what this end found wrong -------------------------------------------------- */

static bool speaks_plain(const an__tls_stream *t)
{
	return t->heard && t->first != RECORD_HANDSHAKE && t->first != RECORD_ALERT;
}

static const char *own_words(int reason)
{
	switch (reason) {
	case SSL_R_UNSUPPORTED_PROTOCOL:
	case SSL_R_NO_PROTOCOLS_AVAILABLE:
	case SSL_R_VERSION_TOO_LOW:
	case SSL_R_VERSION_TOO_HIGH:
	case SSL_R_WRONG_SSL_VERSION:
		return "no version of TLS in common with the peer";
	case SSL_R_NO_SHARED_CIPHER:
	case SSL_R_NO_CIPHERS_AVAILABLE:
		return "no cipher in common with the peer";
	case SSL_R_NO_APPLICATION_PROTOCOL:
		return "no application protocol in common with the peer (ALPN)";
	case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
		return "the peer sent no certificate";
	}
	return NULL;
}

const char *an__tls_reason(const an__tls_stream *t, unsigned long code,
			   char buf[AN__TLS_REASON_MAX])
{
	int reason = ERR_GET_REASON(code);
	const char *text;

	if (speaks_plain(t))
		return "the peer does not speak TLS";
	if (ERR_GET_LIB(code) != ERR_LIB_SSL)
		text = ERR_reason_error_string(code);
	else if (reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256)
		return from_peer(reason - SSL_AD_REASON_OFFSET, buf);
	else if (!(text = own_words(reason)))
		text = ERR_reason_error_string(code);
	return text ? text : an_strerror(AN_ERR_TLS);
}

/* ---- files ---------------------------------------------------------------------- */

static const char *pem_words(int reason)
{
	switch (reason) {
	case PEM_R_NO_START_LINE:
		return "it holds no PEM block of the kind that is needed";
	case PEM_R_BAD_PASSWORD_READ:
		return "the key is encrypted";
	case PEM_R_BAD_END_LINE:
		return "a PEM block is cut short";
	}
	return NULL;
}

const char *an__tls_file_reason(unsigned long code)
{
	const char *text = NULL;

	if (!code)
		return NULL;
	if (ERR_GET_LIB(code) == ERR_LIB_PEM)
		text = pem_words(ERR_GET_REASON(code));
	else if (ERR_GET_LIB(code) == ERR_LIB_OSSL_DECODER &&
		 ERR_GET_REASON(code) == ERR_R_UNSUPPORTED)
		text = pem_words(PEM_R_NO_START_LINE);
	else if (ERR_GET_REASON(code) == ERR_R_INTERRUPTED_OR_CANCELLED)
		text = pem_words(PEM_R_BAD_PASSWORD_READ); /* by no_passphrase() */
	return text ? text : ERR_reason_error_string(code);
}
