/* Pings of ours: the clock that sends them, the tasks that wait for their Pongs; and
 * Pongs that wait for room. L5.
 *
 * One timer a connection, which is touched once an interval: what comes from the peer
 * only sets `heard`, and the timer looks at it when the peer's time is over.
 *
 * Runs on the loop's stack and never suspends.
 */
#include "loop/base/list.h"
#include "ws/conn.h"

#include <asyncnet/error.h>
#include <errno.h>

static const an__wait_kind for_pong = { .what = "a pong" };

#define INTERVAL (20 * AN_SECOND)
#define TIMEOUT (20 * AN_SECOND)

/* How often room is looked for when a Pong waits for it. */
#define PONG_RETRY (50 * AN_MILLISECOND)

/* Bytes unsent above which Pongs wait: a peer that floods us with Pings and does not read
 * gets no more memory than this. */
#define PONG_HIGH (64 * 1024)

typedef struct ping {
	an__waiter waiter;
	uint64_t number;
	an_duration sent, took;
} ping;

static void arm(an_ws *ws)
{
	an_duration next = ws->ping_due < ws->pong_due ? ws->ping_due : ws->pong_due;

	if (ws->session.pong_withheld && next > an_now() + PONG_RETRY)
		next = an_now() + PONG_RETRY;
	if (next != AN_FOREVER)
		an__timer_arm(&ws->timer, next);
}

static an_duration later(an_duration from, an_duration by)
{
	return by == AN_FOREVER ? AN_FOREVER : from + by;
}

/* ---- Pongs that wait ------------------------------------------------------------ */

size_t an__ws_pong_room(const an_ws *ws)
{
	size_t pending = an_stream_pending(ws->stream);

	return pending < PONG_HIGH ? PONG_HIGH - pending : 0;
}

void an__ws_put_pong(an_ws *ws)
{
	if (!ws->stream)
		return;
	/* Without memory for it now, there may be some the next time. */
	an_ignore(an__ws_session_pong_room(&ws->session, an__ws_pong_room(ws)));
	an__ws_put_out(ws);
	if (ws->session.pong_withheld)
		arm(ws);
}

/* ---- Pings ---------------------------------------------------------------------- */

static int send_ping(an_ws *ws)
{
	uint8_t payload[8];
	uint64_t number = ws->ping_number + 1;
	int r;

	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(number >> (56 - 8 * i));
	r = an__ws_session_ping(&ws->session, payload, sizeof(payload));
	an__ws_put_out(ws);
	if (r < 0)
		return r;
	ws->ping_number = number;
	ws->ping_sent = an_now();
	return 0;
}

/* Whether there is a sign of the peer's life since the last Ping. What it sent may lie
 * unread when no task receives; and a peer that takes what we send is not dead, however
 * slow. */
static bool alive(an_ws *ws)
{
	return ws->heard || an_stream_pending(ws->stream) < ws->ping_pending ||
	       an_stream_readable(ws->stream);
}

static void give_up(an_ws *ws)
{
	an__ws_end(ws, -ETIMEDOUT);
	ws->stream = an_stream_abort(ws->stream);
}

static void on_timer(an__timer *timer)
{
	an_ws *ws = an__container(timer, an_ws, timer);
	an_duration now = an_now();

	if (ws->ended || !ws->stream)
		return;
	if (ws->session.pong_withheld)
		an__ws_put_pong(ws);
	if (ws->session.state != AN__WS_OPEN)
		return; /* the closing handshake has a limit of its own */
	if (now >= ws->pong_due) {
		ws->pong_due = AN_FOREVER;
		if (!alive(ws)) {
			give_up(ws);
			return;
		}
	}
	if (now >= ws->ping_due) {
		size_t pending = an_stream_pending(ws->stream);

		if (send_ping(ws) == 0 && ws->pong_due == AN_FOREVER) {
			ws->heard = false;
			ws->ping_pending = pending;
			ws->pong_due = later(now, ws->ping_timeout);
		}
		ws->ping_due = later(now, ws->ping_interval);
	}
	arm(ws);
}

int an__ws_keepalive_start(an_ws *ws, const an_ws_opts *opts)
{
	int r = an__timer_init(&ws->timer, an_loop_current(), on_timer);

	if (r < 0)
		return r;
	ws->ping_interval = opts->ping_interval ? opts->ping_interval : INTERVAL;
	ws->ping_timeout = opts->ping_timeout ? opts->ping_timeout : TIMEOUT;
	ws->ping_due = later(an_now(), ws->ping_interval);
	ws->pong_due = AN_FOREVER;
	arm(ws);
	return 0;
}

void an__ws_keepalive_stop(an_ws *ws)
{
	an__timer_disarm(&ws->timer);
	an__timer_done(&ws->timer);
}

/* A Pong answers the Ping whose payload it has, and all before it. Others are nobody's:
 * RFC 6455 section 5.5.3 allows them. */
void an__ws_on_pong(an_ws *ws, const uint8_t *data, size_t len)
{
	uint64_t number = 0;
	an__waiter *w, *next;

	for (size_t i = 0; i < len && len == 8; i++)
		number = number << 8 | data[i];
	if (!number || number > ws->ping_number)
		return;
	if (number == ws->ping_number)
		ws->latency = an_now() - ws->ping_sent;
	for (w = an__waiters_first(&ws->pingers); w; w = next) {
		ping *p = an__container(w, ping, waiter);

		next = w->next;
		if (p->number > number)
			break;
		p->took = an_now() - p->sent;
		an__wake(w, 0);
	}
}

int an_ws_ping(an_ws *ws, an_duration *ret_rtt)
{
	ping p = { 0 };
	int r = an__wait_check();

	if (r < 0)
		return r;
	if (ws->ended)
		return AN_ERR_CLOSED;
	r = send_ping(ws);
	if (r < 0)
		return r;
	p.number = ws->ping_number;
	p.sent = ws->ping_sent;
	r = an__wait(&p.waiter, &ws->pingers, &for_pong);
	if (r == 0 && ret_rtt)
		*ret_rtt = p.took;
	return r;
}
