/* The WebSocket frame: its header, its mask, and which close codes may travel. L5,
 * sans-I/O.
 *
 * RFC 6455 §5.2. The decoder checks all that a header alone can tell, so that a bad frame
 * is refused before a byte of its payload is looked at.
 */
#ifndef AN_WS_FRAME_H
#define AN_WS_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum an__ws_opcode {
	AN__WS_CONTINUATION = 0,
	AN__WS_OP_TEXT = 1,
	AN__WS_OP_BINARY = 2,
	AN__WS_OP_CLOSE = 8,
	AN__WS_OP_PING = 9,
	AN__WS_OP_PONG = 10,
};

#define AN__WS_CONTROL_MAX 125 /* payload of a control frame, §5.5 */
#define AN__WS_HEADER_MAX 14   /* 2 bytes, 8 of length, 4 of key */

/* Whether a frame is a control frame, §5.5. */
static inline bool an__ws_is_control(unsigned opcode)
{
	return opcode & 8;
}

typedef struct an__ws_frame {
	uint64_t length; /* of the payload */
	uint8_t key[4];	 /* zero when not masked */
	uint8_t opcode;
	uint8_t header; /* bytes of the header itself */
	bool fin;
} an__ws_frame;

/* Decodes the header at `data`. `masked`: what the peer must do, §5.1: a client masks, a
 * server does not. No reserved bit is allowed, as no extension is ever agreed on.
 * Returns the header's length; 0 when more bytes are needed; AN_ERR_MALFORMED, as early
 * as the bytes there tell: a reserved bit or opcode, the wrong masking, a length not in
 * its shortest form or with its highest bit set, a control frame that is fragmented or
 * longer than 125. */
ssize_t an__ws_frame_decode(const uint8_t *data, size_t len, bool masked,
			    an__ws_frame *ret);

/* Writes the header of a final frame; `key`: 4 bytes, or NULL for no mask. Returns its
 * length. */
size_t an__ws_frame_encode(uint8_t out[AN__WS_HEADER_MAX], enum an__ws_opcode opcode,
			   uint64_t length, const uint8_t *key);

/* Masks or unmasks `len` bytes from `in` to `out` (the same, or not overlapping).
 * `phase`: how many bytes of the frame's payload went before. Returns whether every byte
 * of the result is ASCII. */
bool an__ws_mask(uint8_t *out, const uint8_t *in, size_t len, const uint8_t key[4],
		 size_t phase);

/* Whether a code may stand in a Close frame: §7.4.1, §7.4.2 and the IANA registry (1012
 * to 1014). 1004, 1005, 1006 and 1015 never travel. */
bool an__ws_close_code_valid(unsigned code);

#endif
