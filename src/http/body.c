/* Bodies: decoding of the framings, and the encoding of chunks.
 *
 * L4, sans-I/O. Chunk framing is read byte by byte by one state machine and is strict
 * (RFC 9112 section 7.1): the size is 1 to 16 hexadecimal digits and nothing else,
 * extensions follow their grammar within a limit, lines and data end with CRLF. A bare LF
 * anywhere there has split requests in other servers.
 *
 *	SIZE --;--> EXT states --CR--> SIZE_LF --> DATA --> DATA_CR --> DATA_LF --> SIZE
 *	SIZE --CR--> SIZE_LF --size 0--> TRAILERS --> END
 *	PLAIN (length, until close) --> END
 *	any --> BROKEN
 */
#include "http/body.h"

#include <string.h>

enum {
	SIZE,
	SIZE_LF,
	EXT_NAME_BEGIN, /* after ';', white space is borne */
	EXT_NAME,
	EXT_NAME_SPACE, /* white space after the name: '=' or ';' must follow */
	EXT_VALUE_BEGIN,
	EXT_VALUE,
	EXT_QUOTED,
	EXT_ESCAPED,
	EXT_VALUE_END,	 /* after the closing quote */
	EXT_VALUE_SPACE, /* white space after the value: ';' must follow */
	DATA,
	DATA_CR,
	DATA_LF,
	TRAILERS,
	PLAIN,
	END,
	BROKEN,
};

void an__http_body_init(an__http_body *b, enum an__http_framing framing, uint64_t length,
			an__http_head *trailers)
{
	memset(b, 0, sizeof(*b));
	b->framing = (uint8_t)framing;
	b->trailers = trailers;
	switch (framing) {
	case AN__HTTP_NO_BODY:
		b->state = END;
		break;
	case AN__HTTP_LENGTH:
		b->left = length;
		b->state = length ? PLAIN : END;
		break;
	case AN__HTTP_UNTIL_CLOSE:
		b->left = UINT64_MAX;
		b->state = PLAIN;
		break;
	case AN__HTTP_CHUNKED_BODY:
		b->state = SIZE;
		if (trailers)
			an__http_head_reset(trailers);
		break;
	}
}

static int after_digit(an__http_body *b, char c)
{
	int digit = an__http_hex(c);

	if (digit >= 0) {
		if (b->digits++ == 16 || b->left > (uint64_t)INT64_MAX >> 4)
			return BROKEN;
		b->left = b->left << 4 | (unsigned)digit;
		return SIZE;
	}
	if (b->digits == 0)
		return BROKEN;
	return c == '\r' ? SIZE_LF : c == ';' ? EXT_NAME_BEGIN : BROKEN;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

/* After the end of a value or a name without one. */
static int after_extension(char c)
{
	return c == ';' ? EXT_NAME_BEGIN : c == '\r' ? SIZE_LF : BROKEN;
}

/* chunk-ext = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] ); no white
 * space right behind the size, though: readers differ on that. */
static int extension_step(int state, char c)
{
	bool token = an__http_is(c, AN__C_TOKEN);

	switch (state) {
	case EXT_NAME_BEGIN:
		return is_space(c) ? EXT_NAME_BEGIN : token ? EXT_NAME : BROKEN;
	case EXT_NAME:
		if (token)
			return EXT_NAME;
		if (is_space(c))
			return EXT_NAME_SPACE;
		return c == '=' ? EXT_VALUE_BEGIN : after_extension(c);
	case EXT_NAME_SPACE:
		if (is_space(c))
			return EXT_NAME_SPACE;
		return c == '=' ? EXT_VALUE_BEGIN : c == ';' ? EXT_NAME_BEGIN : BROKEN;
	case EXT_VALUE_BEGIN:
		if (is_space(c))
			return EXT_VALUE_BEGIN;
		return c == '"' ? EXT_QUOTED : token ? EXT_VALUE : BROKEN;
	case EXT_VALUE:
		if (token)
			return EXT_VALUE;
		return is_space(c) ? EXT_VALUE_SPACE : after_extension(c);
	case EXT_QUOTED:
		if (c == '"')
			return EXT_VALUE_END;
		if (c == '\\')
			return EXT_ESCAPED;
		return an__http_is(c, AN__C_VALUE) ? EXT_QUOTED : BROKEN;
	case EXT_ESCAPED:
		return an__http_is(c, AN__C_VALUE) ? EXT_QUOTED : BROKEN;
	case EXT_VALUE_END:
		return is_space(c) ? EXT_VALUE_SPACE : after_extension(c);
	case EXT_VALUE_SPACE:
		return is_space(c) ? EXT_VALUE_SPACE : c == ';' ? EXT_NAME_BEGIN : BROKEN;
	}
	return BROKEN;
}

/* One byte of framing. */
static int frame_step(an__http_body *b, char c)
{
	switch (b->state) {
	case SIZE:
		return after_digit(b, c);
	case SIZE_LF:
		b->ext = 0;
		b->digits = 0;
		return c != '\n' ? BROKEN : b->left ? DATA : TRAILERS;
	case DATA_CR:
		return c == '\r' ? DATA_LF : BROKEN;
	case DATA_LF:
		return c == '\n' ? SIZE : BROKEN;
	}
	if (++b->ext > AN__HTTP_EXT_LIMIT || ++b->ext_total > AN__HTTP_EXT_TOTAL)
		return BROKEN;
	return extension_step(b->state, c);
}

static int trailers_step(an__http_body *b, const char *data, size_t len,
			 an__http_piece *ret)
{
	ssize_t n = an__http_head_parse(b->trailers, data, len);

	if (n < 0) {
		b->state = BROKEN;
		return (int)n;
	}
	if (n == 0)
		return AN__BODY_MORE;
	ret->used += (size_t)n;
	b->state = END;
	return AN__BODY_END;
}

static int data_step(an__http_body *b, const char *data, size_t len, an__http_piece *ret)
{
	size_t n = len < b->left ? len : (size_t)b->left;

	if (n == 0)
		return AN__BODY_MORE;
	ret->data = data;
	ret->len = n;
	ret->used += n;
	an__http_body_took(b, n);
	return AN__BODY_DATA;
}

int an__http_body_next(an__http_body *b, const char *data, size_t len,
		       an__http_piece *ret)
{
	size_t at = 0;

	*ret = (an__http_piece){ 0, data, 0 };
	for (;;) {
		ret->used = at;
		switch (b->state) {
		case END:
			return AN__BODY_END;
		case BROKEN:
			return AN_ERR_MALFORMED;
		case DATA:
		case PLAIN:
			return data_step(b, data + at, len - at, ret);
		case TRAILERS:
			return trailers_step(b, data + at, len - at, ret);
		default:
			if (at == len)
				return AN__BODY_MORE;
			b->state = (uint8_t)frame_step(b, data[at++]);
		}
	}
}

uint64_t an__http_body_direct(const an__http_body *b)
{
	return b->state == DATA || b->state == PLAIN ? b->left : 0;
}

void an__http_body_took(an__http_body *b, uint64_t count)
{
	if (b->framing == AN__HTTP_UNTIL_CLOSE)
		return;
	b->left -= count;
	if (b->left == 0)
		b->state = b->state == DATA ? DATA_CR : END;
}

int an__http_body_eof(an__http_body *b)
{
	if (b->framing == AN__HTTP_UNTIL_CLOSE)
		b->state = END;
	return b->state == END ? 0 : AN_ERR_TRUNCATED;
}

bool an__http_body_at_end(const an__http_body *b)
{
	return b->state == END;
}

size_t an__http_chunk_head(char buf[AN__HTTP_CHUNK_HEAD_MAX], size_t len)
{
	size_t n = 1;

	while (n < 16 && len >> (4 * n))
		n++;
	for (size_t i = 0; i < n; i++)
		buf[i] = "0123456789abcdef"[len >> (4 * (n - 1 - i)) & 15];
	buf[n] = '\r';
	buf[n + 1] = '\n';
	return n + 2;
}
