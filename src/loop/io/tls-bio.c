/* Between OpenSSL and a stream. L3.
 *
 * OpenSSL asks for a record's header and then for its body. Here one system call takes
 * up to 128 KiB, from which both are copied; the buffer is borrowed from the loop while
 * it holds something, so that idle streams keep none. What OpenSSL writes goes to the
 * stream's output and leaves as everything else does, at the end of the turn.
 *
 * Invariant: a stream has a chunk exactly while chunk_begin < chunk_end.
 */
#include "config.h"

#include "loop/base/alloc.h"
#include "loop/io/tls-private.h"

#include <errno.h>
#include <openssl/bio.h>
#include <stdlib.h>
#include <string.h>

enum {
	CHUNK = 128 * 1024,
	CHUNKS_KEPT = 8, /* by a loop: one is enough while streams read up what came */

	/* In one call of OpenSSL, which goes on for as long as there is something and it
	 * is no data or fits: then others have a turn, as after AN__STREAM_BURST. */
	REFILLS = AN__STREAM_BURST / CHUNK,

	/* Some 2400 key updates to which the peer has not even read the answers. */
	ANSWERS_MAX = 64 * 1024,
};

struct an__tls_chunk {
	struct an__tls_chunk *next;
	char data[CHUNK];
};

struct chunks {
	struct an__tls_chunk *free;
	unsigned count;
};

/* ---- the loop's buffers --------------------------------------------------------- */

static void destroy_chunks(void *value)
{
	struct chunks *c = value;

	while (c->free) {
		struct an__tls_chunk *next = c->free->next;

		free(c->free);
		c->free = next;
	}
	free(c);
}

static struct chunks *loop_chunks(an_loop *loop)
{
	struct chunks *c = an__loop_local(loop, AN__LOCAL_STREAM);

	if (!c) {
		c = an__calloc(1, sizeof *c);
		if (c)
			an__loop_set_local(loop, AN__LOCAL_STREAM, c, destroy_chunks);
	}
	return c;
}

struct an__tls_chunk *an__tls_chunk_acquire(an_loop *loop)
{
	struct chunks *c = loop_chunks(loop);
	struct an__tls_chunk *chunk;

	if (!c || !c->free)
		return an__malloc(sizeof *chunk);
	chunk = c->free;
	c->free = chunk->next;
	c->count--;
	return chunk;
}

void an__tls_chunk_give_back(an_loop *loop, struct an__tls_chunk *chunk)
{
	struct chunks *c = loop_chunks(loop);

	if (!c || c->count >= CHUNKS_KEPT) {
		free(chunk);
		return;
	}
	chunk->next = c->free;
	c->free = chunk;
	c->count++;
}

char *an__tls_chunk_data(struct an__tls_chunk *chunk)
{
	return chunk->data;
}

void an__tls_chunk_release(an_stream *s)
{
	an__tls_stream *t = s->tls;

	if (t->chunk)
		an__tls_chunk_give_back(s->loop, t->chunk);
	t->chunk = NULL;
	t->chunk_begin = t->chunk_end = 0;
}

/* ---- reading -------------------------------------------------------------------- */

/* Returns whether there is something in the chunk now. */
static bool refill(an_stream *s, BIO *bio)
{
	an__tls_stream *t = s->tls;
	ssize_t n = -EAGAIN;

	/* A read that came back short has emptied the kernel's buffer. */
	if (!s->drained && t->refills++ < REFILLS) {
		t->chunk = an__tls_chunk_acquire(s->loop);
		n = t->chunk ? an__transport_plain.read(s, t->chunk->data, CHUNK)
			     : -ENOMEM;
	}
	if (n > 0) {
		if (!t->heard)
			t->first = (unsigned char)t->chunk->data[0];
		t->heard = true;
		t->chunk_begin = 0;
		t->chunk_end = (size_t)n;
		return true;
	}
	an__tls_chunk_release(s);
	if (n == -EAGAIN)
		BIO_set_retry_read(bio);
	else
		t->io_error = n ? (int)n : 1;
	return false;
}

static int bio_read(BIO *bio, char *buf, size_t len, size_t *ret)
{
	an_stream *s = BIO_get_data(bio);
	an__tls_stream *t = s->tls;
	size_t n;

	BIO_clear_retry_flags(bio);
	if (!t->chunk && !refill(s, bio))
		return 0;
	n = t->chunk_end - t->chunk_begin;
	if (n > len)
		n = len;
	memcpy(buf, t->chunk->data + t->chunk_begin, n);
	t->chunk_begin += n;
	if (t->chunk_begin == t->chunk_end)
		an__tls_chunk_release(s);
	*ret = n;
	return 1;
}

/* ---- writing -------------------------------------------------------------------- */

/* What the peer makes this end say (answers to key updates, RFC 8446, 4.6.3; refusals of
 * a renegotiation) is bounded by no water mark: one that asks and does not read would
 * have it pile up. */
static bool may_answer(an_stream *s, size_t len)
{
	an__tls_stream *t = s->tls;

	if (!evbuffer_get_length(s->out))
		t->answers = 0;
	t->answers += len;
	if (t->answers <= ANSWERS_MAX)
		return true;
	an__stream_note_error(s, AN_ERR_TLS, "peer does not read what it asks for");
	return false;
}

/* Never refuses for want of room: the stream's water marks bound what is written. */
static int bio_write(BIO *bio, const char *buf, size_t len, size_t *ret)
{
	an_stream *s = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	if (s->write_state == AN__WRITE_FAILED) {
		s->tls->io_error = s->write_error;
		return 0;
	}
	if (s->tls->reading && !may_answer(s, len)) {
		s->tls->io_error = AN_ERR_TLS;
		return 0;
	}
	if (an__stream_append(s, buf, len)) {
		s->tls->io_error = -ENOMEM;
		return 0;
	}
	an__stream_flush_later(s);
	*ret = len;
	return 1;
}

static long bio_ctrl(BIO *bio, int command, long n, void *p)
{
	an_stream *s = BIO_get_data(bio);

	(void)n;
	(void)p;
	switch (command) {
	case BIO_CTRL_FLUSH:
		return 1;
	case BIO_CTRL_EOF:
		return s->tls->io_error == 1;
	default:
		return 0;
	}
}

/* ---- the method ----------------------------------------------------------------- */

static BIO_METHOD *method;

static void make_method(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK,
				     "asyncnet stream");

	if (m && BIO_meth_set_read_ex(m, bio_read) &&
	    BIO_meth_set_write_ex(m, bio_write) && BIO_meth_set_ctrl(m, bio_ctrl))
		method = m;
	else
		BIO_meth_free(m);
}

BIO *an__tls_bio_new(an_stream *s)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	BIO *bio;

	pthread_once(&once, make_method);
	bio = method ? BIO_new(method) : NULL;
	if (bio) {
		BIO_set_data(bio, s);
		BIO_set_init(bio, 1);
	}
	return bio;
}
