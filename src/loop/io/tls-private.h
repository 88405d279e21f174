/* What the files tls*.c share. L3.
 *
 * 	tls.c          the context: options, certificates, ALPN
 * 	tls-session.c  a client's sessions
 * 	tls-bio.c      between OpenSSL and the stream's descriptor and output
 * 	tls-stream.c   the handshake and the transport
 */
#ifndef AN_LOOP_IO_TLS_PRIVATE_H
#define AN_LOOP_IO_TLS_PRIVATE_H

#include "loop/io/stream-private.h"

#include <asyncnet/tls.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>

enum {
	AN__TLS_HOST_MAX = 255, /* bytes of a name (RFC 1035, 2.3.4) */
	AN__TLS_SESSIONS = 64,	/* a client keeps */
};

typedef struct an__tls_session {
	SSL_SESSION *session; /* NULL: a free place */
	uint64_t serial;      /* the smallest is the oldest */
	char host[AN__TLS_HOST_MAX + 1];
} an__tls_session;

struct an_tls {
	atomic_uint refs;
	SSL_CTX *ctx;
	bool server, no_verify;
	an_duration handshake_timeout;
	unsigned char *alpn; /* in wire format */
	unsigned alpn_len;
	pthread_mutex_t lock; /* over the sessions: loops of several threads may share */
	uint64_t serial;
	an__tls_session *sessions; /* NULL on a server */
};

/* A stream's side of TLS. */
typedef struct an__tls_stream {
	SSL *ssl;
	an_tls *tls;
	struct an__tls_chunk *chunk; /* what came and is not decrypted; NULL: nothing */
	size_t chunk_begin, chunk_end;
	int io_error; /* why the BIO failed: negative errno; 1: the end */
	bool up;      /* the handshake is done, and nothing fatal has happened since */
	bool reading; /* in SSL_read: what OpenSSL writes now, the peer made it say */
	unsigned refills; /* in this call of OpenSSL */
	size_t answers;	  /* bytes written while reading since the output was empty */
	int deferred;	  /* what the next read returns, if not 0; 1: the end */
	char *alpn;	  /* copied at the handshake */
	char host[AN__TLS_HOST_MAX + 1];
} an__tls_stream;

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

/* Lets the context's new sessions be kept. Returns 0; -ENOMEM. */
int an__tls_sessions_init(an_tls *tls);
void an__tls_sessions_done(an_tls *tls);

/* Offers the newest session of that host for resumption, if there is one. */
void an__tls_session_offer(an_tls *tls, SSL *ssl, const char *host);

/* ---- tls-stream.c --------------------------------------------------------------- */

/* Where callbacks of OpenSSL find the stream. */
an_stream *an__tls_stream_of(const SSL *ssl);

#endif
