/* What the files tls*.c share. L3.
 *
 * 	tls.c          the context: its life, reloading
 * 	tls-opts.c     what may be asked of a context, copied
 * 	tls-load.c     one reading of its files
 * 	tls-cert.c     a server's certificates by name
 * 	tls-pin.c      keys that are known beforehand
 * 	tls-session.c  a client's sessions
 * 	tls-bio.c      between OpenSSL and the stream's descriptor and output
 * 	tls-stream.c   the handshake and the transport
 * 	tls-verify.c   the verdict on a chain, in words
 * 	tls-reason.c   other failures in words
 * 	tls-text.c     names of certificates in text
 * 	tls-peer.c     who the peer is
 */
#ifndef AN_LOOP_IO_TLS_PRIVATE_H
#define AN_LOOP_IO_TLS_PRIVATE_H

#include "loop/io/stream-private.h"

#include <asyncnet/tls.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>

enum {
	AN__TLS_HOST_MAX = 255, /* bytes of a name (RFC 1035, 2.3.4) */
	AN__TLS_SESSIONS = 64,	/* a client keeps */
	AN__TLS_DIGEST = 32,	/* SHA-256 */
	AN__TLS_PIN_TEXT = 44,	/* the same in base64 */

	/* No partial wildcards ("w*.example"), and a name is what stands in the
	 * subjectAltName alone (RFC 9525, 2 and 6.3). */
	AN__TLS_HOST_FLAGS = X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
			     X509_CHECK_FLAG_NEVER_CHECK_SUBJECT,
};

typedef struct an__tls_session {
	SSL_SESSION *session; /* NULL: a free place */
	uint64_t serial;      /* the smallest is the oldest */
	unsigned port;
	char host[AN__TLS_HOST_MAX + 1];
} an__tls_session;

/* A certificate with its key, for those who ask for one of its names. */
typedef struct an__tls_cert {
	X509 *leaf;
	EVP_PKEY *key;
	STACK_OF(X509) * chain; /* above the leaf; may be NULL */
} an__tls_cert;

/* What one reading of the files gave. It does not change; those who use it keep it. */
typedef struct an__tls_reading {
	atomic_uint refs;
	SSL_CTX *ctx;
	an__tls_cert *certs;
	size_t cert_count;
} an__tls_reading;

struct an_tls {
	atomic_uint refs;
	an_tls_opts opts;    /* own strings; without alpn and pins, which lie below */
	unsigned char *alpn; /* in wire format */
	unsigned alpn_len;
	unsigned char (*pins)[AN__TLS_DIGEST];
	size_t pin_count;
	pthread_mutex_t reloading; /* held over a whole reload: the last one wins */
	pthread_mutex_t lock; /* over what is below: loops of several threads may share */
	an__tls_reading *reading;
	uint64_t serial;
	an__tls_session *sessions; /* NULL on a server */
};

/* A stream's side of TLS. */
typedef struct an__tls_stream {
	SSL *ssl;
	an_tls *tls;
	an__tls_reading *reading_of; /* the files that the SSL was made from */
	struct an__tls_chunk *chunk; /* what came and is not decrypted; NULL: nothing */
	size_t chunk_begin, chunk_end;
	int io_error; /* why the BIO failed: negative errno; 1: the end */
	int verdict;  /* on the peer's certificate: 0, or the code of its fault */
	bool up;      /* the handshake is done, and nothing fatal has happened since */
	bool reading; /* in SSL_read: what OpenSSL writes now, the peer made it say */
	bool heard;   /* the peer has said something, beginning with `first` */
	unsigned char first;
	unsigned port;	   /* the peer's; 0: it has none */
	unsigned refills;  /* in this call of OpenSSL */
	size_t answers;	   /* bytes written while reading since the output was empty */
	int deferred;	   /* what the next read returns, if not 0; 1: the end */
	char *alpn;	   /* copied at the handshake */
	an_tls_peer *peer; /* NULL: nobody has asked */
	char host[AN__TLS_HOST_MAX + 1];
} an__tls_stream;

/* ---- tls-opts.c ----------------------------------------------------------------- */

/* Whether the options make sense together. Returns 0; -EINVAL. */
int an__tls_opts_check(const an_tls_opts *o);

/* Copies them into the context. Returns 0; -EINVAL for a pin or protocol; -ENOMEM. What
 * was copied is freed by an__tls_opts_free() in any case. */
int an__tls_opts_copy(an_tls *tls, const an_tls_opts *o);
void an__tls_opts_free(an_tls *tls);

/* Whether a server asks for its clients' certificates. */
static inline bool an__tls_asks_clients(const an_tls_opts *o)
{
	return o->require_client_cert || o->request_client_cert;
}

/* ---- tls-load.c ----------------------------------------------------------------- */

/* Reads the files. *ret_file is the one at fault, or NULL. Returns 0; -ENOMEM; an errno
 * of a file; AN_ERR_TLS and -EINVAL, of which OpenSSL's queue may have more. */
int an__tls_load(an_tls *tls, const char **ret_file, an__tls_reading **ret);

/* A reference to the reading that counts now. */
an__tls_reading *an__tls_reading_acquire(an_tls *tls);
void an__tls_reading_release(an__tls_reading *reading);

/* ---- tls-cert.c ----------------------------------------------------------------- */

/* Has a context use a chain and its key. Returns 0; AN_ERR_TLS and an errno. */
int an__tls_cert_load(SSL_CTX *ctx, const an_tls_cert *files, const char **ret_file);

/* Reads the further certificates. Returns as an__tls_load(). */
int an__tls_certs_load(an__tls_reading *reading, const an_tls_cert *files,
		       const char **ret_file);
void an__tls_certs_free(an__tls_reading *reading);

/* ---- tls-pin.c ------------------------------------------------------------------ */

/* Returns 0; -EINVAL for one that is none; -ENOMEM. */
int an__tls_pins_copy(an_tls *tls, const char *const *pins);

/* The digest of a certificate's public key. Returns whether there was memory for it. */
bool an__tls_pin_of(X509 *cert, unsigned char ret[AN__TLS_DIGEST]);
bool an__tls_pinned(const an_tls *tls, X509 *cert);

/* ---- tls-bio.c ------------------------------------------------------------------ */

/* A BIO over the stream, which must outlive it. Returns NULL when memory is short. */
BIO *an__tls_bio_new(an_stream *s);

/* Gives the stream's read buffer, if it has one, back to the loop. */
void an__tls_chunk_release(an_stream *s);

/* A buffer of 128 KiB from the loop's, for as long as the caller does not suspend; NULL
 * when memory is short. */
struct an__tls_chunk *an__tls_chunk_acquire(an_loop *loop);
char *an__tls_chunk_data(struct an__tls_chunk *chunk);
void an__tls_chunk_give_back(an_loop *loop, struct an__tls_chunk *chunk);

/* ---- tls-session.c -------------------------------------------------------------- */

/* Lets the context keep sessions. Returns 0; -ENOMEM. */
int an__tls_sessions_init(an_tls *tls);
void an__tls_sessions_watch(SSL_CTX *ctx);

/* Forgets all; with the lock held, or alone. */
void an__tls_sessions_drop(an_tls *tls);

/* Offers the newest session of that host and port for resumption, if there is one. */
void an__tls_session_offer(an__tls_stream *t);

/* ---- tls-stream.c --------------------------------------------------------------- */

/* Where callbacks of OpenSSL find the stream. */
an_stream *an__tls_stream_of(const SSL *ssl);

/* ---- tls-verify.c --------------------------------------------------------------- */

/* OpenSSL: instead of its own verification. 1: trusted; else 0, and why is noted. */
int an__tls_verify(X509_STORE_CTX *x, void *arg);

/* ---- tls-reason.c --------------------------------------------------------------- */

enum { AN__TLS_REASON_MAX = 200 };

/* Takes the queue of OpenSSL's errors. Returns the first, which is the cause, or 0. */
unsigned long an__tls_take_errors(bool *ret_no_memory);

/* What a code of OpenSSL's means here, in `buf` or static. Never NULL. */
const char *an__tls_reason(const an__tls_stream *t, unsigned long code,
			   char buf[AN__TLS_REASON_MAX]);

/* The same of a file that could not be used; NULL: OpenSSL has no words. */
const char *an__tls_file_reason(unsigned long code);

/* ---- tls-text.c ----------------------------------------------------------------- */

/* Appends to a BIO of memory. Return whether there was memory for it. */
bool an__tls_print_name(BIO *to, const X509_NAME *name);

/* The name alone, or behind its kind and a colon. */
bool an__tls_print_alt_name(BIO *to, const GENERAL_NAME *name, bool with_kind);

#endif
