/* Fuzzes the WebSocket session: whatever comes, it must come to the same when it is cut
 * in pieces. The first byte chooses the side, the second the size of the pieces. */
#include "ws/session.h"

#include <stdlib.h>
#include <string.h>

/* What became of the input: events, their bytes, what was put out. */
typedef struct trace {
	uint64_t hash;
	size_t events;
	int error;
	enum an__ws_state state;
	unsigned code;
} trace;

static void mix(trace *t, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++)
		t->hash = (t->hash ^ p[i]) * 0x100000001b3u;
}

static void note(trace *t, int r, const an__ws_event *e)
{
	if (r < 0)
		t->error = r;
	if (r <= 0)
		return;
	t->events++;
	mix(t, &r, sizeof(r));
	if (r == AN__WS_MESSAGE || r == AN__WS_PONG)
		mix(t, e->data, e->len);
}

static trace run(const uint8_t *data, size_t len, bool client, size_t step)
{
	static const an__ws_limits limits = { .message = 600, .fragments = 5 };
	static an__ws_random random;
	an__ws_session s;
	trace t = { 0 };
	uint8_t *bytes = malloc(len + 1);
	size_t at = 0, used;
	an__ws_event e;
	int r;

	if (!bytes)
		abort();
	memcpy(bytes, data, len);
	an__ws_session_init(&s, client, &limits, &random);
	for (size_t end = step < len ? step : len;;
	     end = len - end < step ? len : end + step) {
		do {
			r = an__ws_session_feed(&s, bytes + at, end - at, &used, &e);
			note(&t, r, &e);
			at += used;
		} while (r > 0);
		an__ws_session_trim(&s);
		if (end == len)
			break;
	}
	t.state = s.state;
	t.code = s.close_code;
	if (!client) /* a client's masks differ */
		mix(&t, s.output.data, s.output.len);
	an__ws_session_done(&s);
	free(bytes);
	return t;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	trace whole, pieces;

	if (len < 2)
		return 0;
	whole = run(data + 2, len - 2, data[0] & 1, len);
	pieces = run(data + 2, len - 2, data[0] & 1, data[1] % 32 + 1u);
	if (whole.hash != pieces.hash || whole.events != pieces.events ||
	    whole.error != pieces.error || whole.state != pieces.state ||
	    whole.code != pieces.code)
		abort();
	return 0;
}
