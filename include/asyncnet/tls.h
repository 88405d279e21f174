/* TLS contexts, shared between streams, and the upgrade of a stream to TLS (OpenSSL).
 *
 * What is verified: a client verifies the server's chain, the dates, the use that the
 * certificates are for, and the host against the names and addresses in the leaf's
 * subjectAltName; never against its common name (RFC 9525, 2). A server verifies its
 * clients when it is told to. Revocation is looked up in a crl_file alone: there is no
 * OCSP. There is no renegotiation; a peer that asks for one is refused, unharmed.
 */
#ifndef ASYNCNET_TLS_H
#define ASYNCNET_TLS_H

#include <asyncnet/api.h>
#include <asyncnet/stream.h>
#include <asyncnet/time.h>

AN_BEGIN_DECLS

/* A context: certificates and rules, shared by the streams that use it. */
typedef struct an_tls an_tls;

/* A further certificate of a server. */
typedef struct an_tls_cert {
	const char *cert_file; /* PEM chain, the leaf first; NULL ends the list */
	const char *key_file;  /* PEM, not encrypted; NULL: it is in cert_file */
} an_tls_cert;

/* Of an_tls_new(). */
typedef struct an_tls_opts {
	bool server;		  /* the accepting side; needs cert_file */
	const char *cert_file;	  /* PEM chain, the leaf first; on a client its own */
	const char *key_file;	  /* PEM, not encrypted; NULL: it is in cert_file */
	const char *ca_file;	  /* PEM of trusted roots; NULL: a client's system's */
	bool no_verify;		  /* client: trust anyone. For tests, or with pins */
	bool require_client_cert; /* server: demand one that ca_file vouches for */
	/* In order of preference, NULL-terminated; NULL: none. A server that shares none
	 * with a client that names some refuses it (RFC 7301, 3.2). */
	const char *const *alpn;
	int min_version;	       /* TLS1_2_VERSION or TLS1_3_VERSION; 0: TLS 1.2 */
	an_duration handshake_timeout; /* 0: 10 s */
	/* Server: ask for a client's certificate; who has none is let in all the same,
	 * one that ca_file does not vouch for is refused. an_stream_tls_peer() tells. */
	bool request_client_cert;
	/* Server: certificates for clients that ask for one of their names (SNI): the
	 * first in whose subjectAltName the name is, an exact one or behind a leading
	 * "*."; when none matches, cert_file. All else is common to them. NULL: none. */
	const an_tls_cert *more_certs;
	/* PEM of revocation lists. Each certificate of a chain must then be covered by a
	 * list of its issuer's that has not expired, or the peer is refused. NULL:
	 * nothing is known to be revoked. */
	const char *crl_file;
	/* Client: SHA-256 digests of public keys (SubjectPublicKeyInfo) in base64, as in
	 * RFC 7469, 2.4, and behind curl's "sha256//"; NULL-terminated. The verified
	 * chain must have one of these keys; with no_verify the leaf must, which is then
	 * all that is asked of it. NULL: any key. */
	const char *const *pins;
	/* OpenSSL's list for TLS 1.2, less those without certificates (aNULL); NULL: its
	 * default. */
	const char *ciphers;
	const char *cipher_suites; /* for TLS 1.3, "TLS_AES_128_GCM_SHA256:..." */
	/* Of an_stream_shutdown(), which waits for a peer that does not read; 0: 30 s. */
	an_duration shutdown_timeout;
} an_tls_opts;

/* Makes a context. Certificates and host names are verified unless told not to be; TLS
 * 1.2 at least. Servers issue session tickets; clients keep the last sessions (64, by
 * host and port) in the context and resume them. May be shared by the loops of several
 * threads. Reads files: call it at the start. Never suspends. `opts` is copied. `error`
 * (may be NULL) takes the reason in words with the file's name, at most error_cap bytes
 * with the final zero.
 * Returns 0; -ENOMEM; -ENOENT and the like of a file; -EINVAL for options that exclude
 * each other or mean nothing, another min_version, a pin that is none, lists that leave
 * no pin and no cipher; AN_ERR_TLS for what OpenSSL refuses. */
AN_API int an_tls_new(const an_tls_opts *opts, char *error, size_t error_cap,
		      an_tls **ret);

/* Reads again all the files that the context was made from, and takes what they hold now
 * for the handshakes that begin from here on; streams that are up or under way keep what
 * they have. All or nothing: when anything is wrong with one of them, nothing changes. A
 * file that ends between two of its certificates looks whole: write it elsewhere and
 * rename it.
 *
 * A client's sessions are dropped. A server's tickets stay good, unless it verifies its
 * clients, whose trust may have changed.
 *
 * From any thread, also from several at once. It reads files: in a task call it through
 * an_offload(). Never suspends. `error` as in an_tls_new().
 * Returns 0; errors of files and of OpenSSL as an_tls_new(). */
AN_API int an_tls_reload(an_tls *tls, char *error, size_t error_cap);

/* Takes a further reference, to be given to an_tls_free(). Accepts NULL. Never suspends;
 * from any thread. Returns `tls`. */
AN_API an_tls *an_tls_ref(an_tls *tls);

/* Gives up a reference; streams, listeners and clients that use it keep theirs. Accepts
 * NULL, returns NULL. Never suspends; from any thread. */
AN_API an_tls *an_tls_free(an_tls *tls);

/* ---- on a stream ---------------------------------------------------------------- */

/* Runs the handshake on `s`. Suspends. On a client `host` is the name that is sent
 * (SNI) and verified, or an address in digits, which is verified alone; NULL on a
 * server. No other task may be reading or writing. Bytes that were read ahead in plain
 * text could have been injected and are refused. It runs on the task's stack, of which
 * it needs about 9 KiB.
 *
 * What a failure was is in an_stream_error_text(): "certificate expired on 2026-03-01",
 * "certificate is for a.example, b.example; not for c.example", "certificate's issuer is
 * unknown: CN=x", "the peer does not speak TLS", "no cipher in common with the peer".
 * What the peer found wrong begins with "peer: ", as "peer: certificate required", which
 * a TLS 1.3 client learns by its first read.
 *
 * Returns 0; AN_ERR_CERT, AN_ERR_CERT_HOST; AN_ERR_TLS for all else that is wrong with
 * what the peer says; AN_ERR_TRUNCATED when it hung up; AN_ERR_MISUSE for unread plain
 * text, a client without a host (with no_verify it needs none), or a stream that has TLS
 * already; -EINVAL for a host that cannot be one; -ETIMEDOUT after handshake_timeout;
 * -ECANCELED; -EBUSY; AN_ERR_CLOSED; -ENOMEM; socket errors. After a failure the stream
 * can only be closed. */
AN_API AN_SUSPENDS int an_stream_start_tls(an_stream *s, an_tls *tls, const char *host);

/* The protocol agreed on by ALPN, or NULL. Borrowed for as long as the stream lives.
 * Never suspends; so the calls below. */
AN_API const char *an_stream_alpn(const an_stream *s);

/* "TLSv1.3" and the like; NULL on a plain stream. Static. */
AN_API const char *an_stream_tls_version(const an_stream *s);

/* "TLS_AES_256_GCM_SHA384" and the like, the name in the standards; NULL on a plain
 * stream. Static. */
AN_API const char *an_stream_tls_cipher(const an_stream *s);

/* The name that the client asked for (SNI), on both sides; NULL when it named none, as
 * for an address. On a server it is what the peer made up: any bytes but zero, 255 at
 * most. Borrowed for as long as the stream lives. */
AN_API const char *an_stream_tls_server_name(const an_stream *s);

/* Whether the session was resumed, which saves the certificates' round and work. */
AN_API bool an_stream_tls_resumed(const an_stream *s);

/* What a peer's certificate says. Names are as they were issued, in UTF-8, control
 * characters escaped. */
typedef struct an_tls_peer {
	const char *subject; /* RFC 4514: "CN=alice,O=Example" */
	const char *issuer;  /* the same of who issued it */
	const char *const
		*names;	    /* of the subjectAltName, NULL-terminated: "DNS:a.example",
				     "IP:::1", "email:a@example", "URI:spiffe://a/b" */
	const char *sha256; /* of the whole (DER), 64 lower-case hexadecimal digits */
	const char *pin;    /* of its public key, as in an_tls_opts.pins */
	const char *pem;
	int64_t not_before, not_after; /* seconds since 1970 */
	bool verified;		       /* false: only with no_verify */
} an_tls_peer;

/* Who the peer is, by the certificate that it has shown, in this session or in the one
 * that was resumed. *ret is borrowed for as long as the stream lives.
 * Returns 0; -ENOENT when it has shown none; AN_ERR_MISUSE without TLS, or when TLS has
 * failed before anybody asked; -ENOMEM. */
AN_API int an_stream_tls_peer(an_stream *s, const an_tls_peer **ret);

AN_END_DECLS

#endif
