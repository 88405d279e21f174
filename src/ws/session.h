/* One WebSocket connection without its transport: bytes in, messages and bytes out. L5,
 *sans-I/O.
 *
 * What comes from the peer is fed in pieces of any size; the session unmasks it in place.
 *A data frame that lies whole in a piece becomes a message where it lies; all others are
 *gathered in a buffer that grows with what was received, never with what was announced.
 *Replies (Pong, Close) are put out in the order in which they are due.
 *
 * A session's life:
 *
 *	OPEN --our Close--> CLOSE_SENT --the peer's Close--> CLOSED
 *	OPEN --the peer's Close, answered at once---------> CLOSED
 *	OPEN, CLOSE_SENT --a violation, or no memory------> FAILED  (a Close says why)
 *
 * In CLOSED and FAILED whatever is fed is ignored.
 */
#ifndef AN_WS_SESSION_H
#define AN_WS_SESSION_H

#include "ws/engine.h"
#include "ws/utf8.h"

enum an__ws_state {
	AN__WS_OPEN,
	AN__WS_CLOSE_SENT,
	AN__WS_CLOSED,
	AN__WS_FAILED,
};

typedef struct an__ws_limits {
	size_t message;	    /* bytes of a message, all fragments together */
	unsigned fragments; /* of one message */
} an__ws_limits;

/* A large buffer that no message needs now, kept for the next that does: without it, each
 * message of a MiB would cost the faults of its pages. Zero is none. */
typedef struct an__ws_spare {
	uint8_t *data;
	size_t cap;
} an__ws_spare;

enum an__ws_event_kind {
	AN__WS_NONE, /* more bytes are needed */
	AN__WS_MESSAGE,
	AN__WS_PONG,
	AN__WS_CLOSE, /* the peer's Close came */
};

typedef struct an__ws_event {
	const uint8_t *data; /* of a message or Pong; never NULL then */
	size_t len;
	bool text;
	bool in_place; /* `data` lies in the bytes that were fed, not in the session */
} an__ws_event;

typedef struct an__ws_session {
	an__ws_engine *engine; /* NULL while there is nothing that it must remember */
	an__ws_random *random;
	an__ws_spare *spare; /* shared, borrowed; NULL: none is kept */
	an__ws_limits limits;
	an__ws_output output;

	an__ws_frame frame; /* the data frame whose payload is coming */
	uint64_t left;	    /* of its payload */
	uint8_t *message;   /* what was gathered */
	size_t len, cap;
	unsigned fragments;
	an__utf8 utf8;

	enum an__ws_state state;
	bool client;
	bool in_frame;
	bool text;
	bool delivered; /* the gathered message was handed out with the last event */
	bool pong_withheld;
	uint8_t pong_len;
	uint8_t pong[AN__WS_CONTROL_MAX];
	size_t pong_room; /* bytes of Pongs that may be put out */
	/* The peer's, 1005 without one; 1006 before; ours when it failed. */
	unsigned close_code;
	char *close_reason; /* the peer's, NULL for none */
} an__ws_session;

/* `random` is borrowed. No memory is taken before it is needed. */
void an__ws_session_init(an__ws_session *s, bool client, const an__ws_limits *limits,
			 an__ws_random *random);

/* Frees what it holds. */
void an__ws_session_done(an__ws_session *s);

/* Takes bytes from the peer up to the next event. *ret_used: how many were taken; the
 * rest is to be fed again, together with more when the answer was AN__WS_NONE. That rest
 * is less than a header and a control frame: 139 bytes. What *ret points to stays until
 * the next call, or, when it is in place, as long as the caller's bytes. Returns an
 * event; AN_ERR_MALFORMED for a violation (1002, 1007), AN_ERR_LIMIT (1008 for too many
 * fragments, 1009 for a message too big), -ENOMEM (1011), -EIO without random bytes
 * (1011): then the session has failed, and *ret_used is `len`. */
int an__ws_session_feed(an__ws_session *s, uint8_t *data, size_t len, size_t *ret_used,
			an__ws_event *ret);

/* While a long payload is coming: room at the end of the gathered message for the next
 * bytes of it, so that they can be read straight into place; then
 * an__ws_session_received() says how many came and is used like a feed that took them
 * all. *ret_room is 0 when less than `least` bytes of payload are to come. Returns 0;
 * -ENOMEM as above. */
int an__ws_session_room(an__ws_session *s, size_t least, uint8_t **ret, size_t *ret_room);
int an__ws_session_received(an__ws_session *s, size_t len, an__ws_event *ret);

/* Gives back memory that is held for no message: before a wait of unknown length. */
void an__ws_session_trim(an__ws_session *s);

/* How many bytes of Pongs may be put out from here on. While there is no room the latest
 * is withheld, as RFC 6455 §5.5.3 allows, and put out by this call when there is. Returns
 * 0; -ENOMEM; -EIO. */
int an__ws_session_pong_room(an__ws_session *s, size_t room);

/* Puts out a Ping; len at most 125. Returns 0; AN_ERR_CLOSED when not open; -ENOMEM;
 * -EIO. */
int an__ws_session_ping(an__ws_session *s, const void *data, size_t len);

/* Puts out our Close. code 0: without one; reason: UTF-8, at most 123 bytes. In a session
 * that is not open nothing happens. Returns 0; -EINVAL for a code or reason that must not
 * be sent; -ENOMEM; -EIO. */
int an__ws_session_close(an__ws_session *s, unsigned code, const char *reason,
			 size_t len);

/* The header of a data frame of ours. A client must mask the payload with `key`, which is
 * filled in then. Returns its length; AN_ERR_CLOSED when a Close was sent or received;
 * -EIO. */
ssize_t an__ws_session_header(an__ws_session *s, bool text, uint64_t len,
			      uint8_t out[AN__WS_HEADER_MAX], uint8_t key[4]);

#endif
