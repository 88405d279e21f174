/* wslay, as the session uses it. L5, sans-I/O.
 *
 * wslay is shown the header of each frame that is out of the ordinary, never its payload:
 * it rules on the order of frames (fragments, what may stand between them), keeps the
 * state of the closing handshake, and queues, masks and writes the control frames.
 * Payloads go around it, because its way with them is what fails: byte-wise masks,
 * allocation of announced lengths, close reasons that come in pieces.
 *
 * A context of wslay takes 9 KB. One that is idle knows nothing, so the session has none
 * while only whole messages travel.
 */
#ifndef AN_WS_ENGINE_H
#define AN_WS_ENGINE_H

#include "ws/frame.h"
#include "ws/random.h"

/* Bytes that are to be sent, in order. Zero is empty. */
typedef struct an__ws_output {
	uint8_t *data;
	size_t len, cap;
} an__ws_output;

/* Returns 0; -ENOMEM, and then nothing was appended. */
int an__ws_output_append(an__ws_output *o, const void *data, size_t len);

typedef struct an__ws_engine an__ws_engine;

/* `client`: which side we are. `output` takes what is to be sent, `random` gives masks;
 * both are borrowed for the engine's life. Returns 0; -ENOMEM. */
int an__ws_engine_new(bool client, an__ws_output *output, an__ws_random *random,
		      an__ws_engine **ret);

/* Accepts NULL, returns NULL. */
an__ws_engine *an__ws_engine_free(an__ws_engine *e);

/* Shows a frame's header. Returns 0 when the frame may stand here; AN_ERR_MALFORMED when
 * not (a Close with 1002 has then been put out, unless one was before); -ENOMEM. */
int an__ws_engine_frame(an__ws_engine *e, const an__ws_frame *f);

/* Whether a fragmented message has begun and its last frame has not. */
bool an__ws_engine_in_message(const an__ws_engine *e);

/* Puts a Ping or Pong out. len: at most 125. Returns 0; AN_ERR_CLOSED after a Close;
 * -ENOMEM; -EIO. */
int an__ws_engine_control(an__ws_engine *e, enum an__ws_opcode opcode, const void *data,
			  size_t len);

/* Puts a Close out; code 0: without one. len: at most 123. Returns as above. */
int an__ws_engine_close(an__ws_engine *e, unsigned code, const void *reason, size_t len);

/* Whether it may be freed without anything being forgotten. */
bool an__ws_engine_idle(const an__ws_engine *e);

#endif
