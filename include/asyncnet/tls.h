/* TLS contexts, shared between streams, and the upgrade of a stream to TLS (OpenSSL). */
#ifndef ASYNCNET_TLS_H
#define ASYNCNET_TLS_H

#include <asyncnet/api.h>
#include <asyncnet/stream.h>
#include <asyncnet/time.h>

AN_BEGIN_DECLS

/* A context: certificates and rules, shared by the streams that use it. */
typedef struct an_tls an_tls;

/* Of an_tls_new(). */
typedef struct an_tls_opts {
	bool server;		  /* the accepting side; needs cert_file */
	const char *cert_file;	  /* PEM chain, the leaf first; on a client its own */
	const char *key_file;	  /* PEM, not encrypted; NULL: it is in cert_file */
	const char *ca_file;	  /* PEM of trusted roots; NULL: a client's system's */
	bool no_verify;		  /* client: trust anyone. For tests alone */
	bool require_client_cert; /* server: demand one that ca_file vouches for */
	/* In order of preference, NULL-terminated; NULL: none. A server that shares none
	 * with a client that names some refuses it (RFC 7301, 3.2). */
	const char *const *alpn;
	int min_version;	       /* TLS1_2_VERSION or TLS1_3_VERSION; 0: TLS 1.2 */
	an_duration handshake_timeout; /* 0: 10 s */
} an_tls_opts;

/* Makes a context. Certificates and host names are verified unless told not to be; TLS
 * 1.2 at least; no renegotiation. Servers issue session tickets; clients keep the last
 * sessions (64, by host) in the context and resume them. May be shared by the loops of
 * several threads. Reads files: call it at the start. Never suspends. The strings are
 * copied. `error` (may be NULL) takes the reason in words, at most error_cap bytes with
 * the final zero.
 * Returns 0; -ENOMEM; -ENOENT and the like of a file; -EINVAL for options that exclude
 * each other, another min_version; AN_ERR_TLS for what OpenSSL refuses. */
AN_API int an_tls_new(const an_tls_opts *opts, char *error, size_t error_cap,
		      an_tls **ret);

/* Takes a further reference, to be given to an_tls_free(). Accepts NULL. Never suspends;
 * from any thread. Returns `tls`. */
AN_API an_tls *an_tls_ref(an_tls *tls);

/* Gives up a reference; streams, listeners and clients that use it keep theirs. Accepts
 * NULL, returns NULL. Never suspends; from any thread. */
AN_API an_tls *an_tls_free(an_tls *tls);

/* Runs the handshake on `s`. Suspends. On a client `host` is the name that is sent
 * (SNI) and verified, or an address in digits, which is verified alone; NULL on a
 * server. No other task may be reading or writing. Bytes that were read ahead in plain
 * text could have been injected and are refused. It runs on the task's stack, of which
 * it needs about 9 KiB.
 * Returns 0; AN_ERR_CERT, AN_ERR_CERT_HOST, AN_ERR_TLS (an_stream_error_text() says
 * more); AN_ERR_TRUNCATED when the peer hung up; AN_ERR_MISUSE for unread plain text, a
 * client without a host, or a stream that has TLS already; -ETIMEDOUT; -ECANCELED;
 * -EBUSY; AN_ERR_CLOSED; -ENOMEM; socket errors. After a failure the stream can only be
 * closed. */
AN_API AN_SUSPENDS int an_stream_start_tls(an_stream *s, an_tls *tls, const char *host);

/* The protocol agreed on by ALPN, or NULL. Borrowed for as long as the stream lives. */
AN_API const char *an_stream_alpn(const an_stream *s);

/* "TLSv1.3" and the like; NULL on a plain stream. Static. */
AN_API const char *an_stream_tls_version(const an_stream *s);

/* Whether the session was resumed, which saves the certificates' round and work. */
AN_API bool an_stream_tls_resumed(const an_stream *s);

AN_END_DECLS

#endif
