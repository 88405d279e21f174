/* Load for the notes service; called by microservice.sh. Says "ok" on stdout and exits
 * with 0, or says what is wrong on stderr.
 *
 *	notes-load watch URL COUNT    COUNT WebSockets watch the feed; the service answers
 *	                              meanwhile, and each of them hears of a note
 *	notes-load drain URL PID      writes notes from 20 tasks, sends SIGTERM to PID
 *	                              among them, prints how many were acknowledged
 *	notes-load until URL STATUS   asks for URL until the answer has that status
 */
#include <asyncnet/asyncnet.h>
#include <asyncnet/http_client.h>
#include <asyncnet/ws.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WRITERS 20
#define WRITTEN_BEFORE_THE_SIGNAL 200

static an_http_client *client;
static const char *url;

static int fail(const char *what, int r)
{
	fprintf(stderr, "notes-load: %s: %s\n", what, an_strerror(r));
	return r < 0 ? r : -1;
}

/* Returns the status, or a negative code. */
AN_SUSPENDS static int post_note(const char *text)
{
	static const an_http_header json[] = { { "content-type", "application/json" },
					       { NULL, NULL } };
	char body[128], target[256];
	an_http_response *response;
	const char *data;
	size_t length;
	int r;

	snprintf(target, sizeof target, "%s/notes", url);
	snprintf(body, sizeof body, "{\"text\":\"%s\"}", text);
	r = an_http_send(client,
			 &(an_http_request){ .url = target,
					     .headers = json,
					     .body = body,
					     .body_len = strlen(body) },
			 &response);
	if (r < 0)
		return r;
	r = an_http_response_read_all(response, 0, &data, &length);
	if (r == 0)
		r = an_http_response_status(response);
	an_http_response_free(response);
	return r;
}

/* ---- watch ---------------------------------------------------------------------- */

static an_semaphore connecting = AN_SEMAPHORE_INIT(32, 32);
static size_t watchers, connected, heard;
static an_event all_connected;

static int watch(void *arg)
{
	an_ws_message message;
	char target[256];
	an_ws *ws;
	int r = an_semaphore_acquire(&connecting);

	(void)arg;
	if (r < 0)
		return r;
	snprintf(target, sizeof target, "ws://%s/feed", url + 7);
	r = an_ws_connect(target, NULL, &ws);
	an_semaphore_release(&connecting);
	if (r < 0)
		return fail("connecting a WebSocket", r);
	if (++connected == watchers)
		an_event_set(&all_connected);
	/* Events of earlier notes may still be under way. */
	do
		r = an_ws_recv(ws, &message);
	while (r == 0 && !memmem(message.data, message.len, "for all to hear", 15));
	if (r == 0)
		heard++;
	an_ws_free(ws);
	return r;
}

static int run_watch(const char *count)
{
	an_group group;
	int r;

	watchers = strtoul(count, NULL, 10);
	an_group_begin(&group);
	for (size_t i = 0; i < watchers; i++)
		an_group_spawn(&group, watch, NULL);
	r = an_event_wait(&all_connected);
	if (r == 0) {
		r = post_note("for all to hear");
		r = r == 201 ? 0 : fail("a note beside the WebSockets", r);
	}
	an_group_fail(&group, r);
	r = an_group_end(&group);
	if (r < 0)
		return fail("watching", r);
	return heard == watchers ? 0 : fail("not all heard of the note", 0);
}

/* ---- drain ---------------------------------------------------------------------- */

static int acknowledged;
static pid_t service;

static int write_notes(void *arg)
{
	int r;

	(void)arg;
	while ((r = post_note("written while the service ends")) == 201)
		if (++acknowledged == WRITTEN_BEFORE_THE_SIGNAL &&
		    kill(service, SIGTERM) < 0)
			return fail("kill", -1);
	return r >= 0 ? fail("an answer that is no 201", 0) : 0;
}

static int run_drain(const char *pid)
{
	an_group group;
	int r;

	service = (pid_t)strtol(pid, NULL, 10);
	an_group_begin(&group);
	for (int i = 0; i < WRITERS; i++)
		an_group_spawn(&group, write_notes, NULL);
	r = an_group_end(&group);
	if (r == 0)
		printf("%d\n", acknowledged);
	return r;
}

/* ---- until ---------------------------------------------------------------------- */

static int run_until(const char *status)
{
	for (;;) {
		an_http_response *response;
		int r = an_http_get(client, url, &response), got = 0;

		if (r == 0) {
			got = an_http_response_status(response);
			an_http_response_free(response);
		}
		if (got == atoi(status))
			return 0;
		r = an_sleep(50 * AN_MILLISECOND);
		if (r < 0)
			return r;
	}
}

static int app(void *arg)
{
	char **argv = arg;
	int r = an_http_client_new(&(an_http_client_opts){ .max_per_host = 64 }, &client);

	if (r < 0)
		return r;
	if (strcmp(argv[1], "watch") == 0)
		r = run_watch(argv[3]);
	else if (strcmp(argv[1], "drain") == 0)
		r = run_drain(argv[3]);
	else
		r = run_until(argv[3]);
	an_http_client_free(client);
	return r;
}

int main(int argc, char **argv)
{
	if (argc != 4 || strncmp(argv[2], "http://", 7) != 0)
		return 2;
	alarm(100);
	url = argv[2];
	if (an_run(app, argv, NULL) < 0)
		return 1;
	if (strcmp(argv[1], "drain") != 0)
		puts("ok");
	return 0;
}
