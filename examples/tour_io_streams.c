/* The third chapter of tour_io: streams. A server and its clients, limits for peers that
 * nobody knows, a large file, and a generator.
 *
 * asyncio has a reader and a writer for each connection, and a drain() that is forgotten
 * easily: here one stream is both, and a write waits by itself when the peer is slow.
 */
#include "tour_io.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a server, and who visits it --------------------------------------------------- */

struct server {
	an_listener *listener;
	an_serve_handler handler; /* in a task of its own for each connection */
	void *arg;
};

static int serve(void *arg)
{
	struct server *server = arg;

	return an_serve(server->listener, server->handler, server->arg, NULL);
}

/* await asyncio.start_server(handler, "127.0.0.1", 0); the end of the visit is that of
 * the server: to close the listener has it end gracefully, when the last connection
 * does. */
static int visit_server(an_serve_handler handler, void *arg, const an_listen_opts *opts,
			int (*visit)(const char *port))
{
	struct server server = { NULL, handler, arg };
	char port[16];
	an_group group;
	int r = an_listen("127.0.0.1", "0", opts, &server.listener);

	if (r)
		return r;
	snprintf(port, sizeof(port), "%u", an_listener_port(server.listener));
	an_group_begin(&group);
	r = an_group_spawn(&group, serve, &server);
	if (!r)
		r = visit(port);
	an_group_fail(&group, r);
	an_listener_close(server.listener);
	return an_group_end(&group);
}

/* ---- lines there and back ---------------------------------------------------------- */

/* async for line in reader: writer.write(line.upper()). What was read is lent until the
 * next read; the stream is closed when the handler returns. */
static int shout(void *arg, an_stream *stream)
{
	const char *line;
	size_t len;
	int r;

	(void)arg;
	while (!(r = an_stream_read_line(stream, &line, &len))) {
		char *loud = malloc(len);

		if (!loud)
			return -ENOMEM;
		for (size_t i = 0; i < len; i++)
			loud[i] = (char)toupper((unsigned char)line[i]);
		r = an_stream_write(stream, loud, len);
		free(loud);
		if (r)
			return r;
	}
	return r == AN_ERR_EOF ? 0 : r;
}

static int talk(an_stream *stream)
{
	static const char words[] = "good morning\nand good night\n";
	const char *line;
	size_t len;
	int r = an_stream_write(stream, words, strlen(words));

	if (!r)
		r = an_stream_shutdown(stream); /* writer.write_eof() */
	while (!r && !(r = an_stream_read_line(stream, &line, &len)))
		tour_say("%.*s", (int)len - 1, line);
	return r == AN_ERR_EOF ? 0 : r;
}

/* reader, writer = await asyncio.open_connection("127.0.0.1", port) */
static int visit_with_words(const char *port)
{
	an_stream *stream;
	int r = an_connect("127.0.0.1", port, NULL, &stream);

	if (r)
		return r;
	r = talk(stream);
	an_stream_close(stream);
	return r;
}

static int lines_there_and_back(void *arg)
{
	(void)arg;
	return visit_server(shout, NULL, NULL, visit_with_words);
}

/* ---- limits for strangers ---------------------------------------------------------- */

/* Whoever connects may send a line without an end, or nothing at all. Both are bounded:
 * by the listener's read_limit, and by a scope around the call. */
static int be_careful(void *arg, an_stream *stream)
{
	const char *line, *answer = "thank you\n";
	an_timeout limit;
	size_t len;
	int r;

	(void)arg;
	an_timeout_begin(&limit, 100 * AN_MILLISECOND);
	r = an_timeout_end(&limit, an_stream_read_line(stream, &line, &len));
	if (r == AN_ERR_LIMIT)
		answer = "that is too much\n";
	else if (r == -ETIMEDOUT)
		answer = "that is too slow\n";
	else if (r)
		return r;
	return an_stream_write(stream, answer, strlen(answer));
}

static int say_answer(const char *port, const char *text)
{
	const char *answer;
	an_stream *stream;
	size_t len;
	int r = an_connect("127.0.0.1", port, NULL, &stream);

	if (r)
		return r;
	r = an_stream_write(stream, text, strlen(text));
	if (!r)
		r = an_stream_read_line(stream, &answer, &len);
	if (!r)
		tour_say("%.*s", (int)len - 1, answer);
	an_stream_close(stream);
	return r;
}

static int visit_rudely(const char *port)
{
	int r = say_answer(port, "hello\n");

	if (!r)
		r = say_answer(port, "and another thing, and another thing, and");
	return r ? r : say_answer(port, "hel");
}

static int limits_for_strangers(void *arg)
{
	(void)arg;
	return visit_server(be_careful, NULL,
			    &(an_listen_opts){ .stream.read_limit = 32 }, visit_rudely);
}

/* ---- a large file ------------------------------------------------------------------ */

enum { FILE_SIZE = 2 * 1024 * 1024, PIECE = 64 * 1024 };

/* await loop.sendfile(transport, file): the kernel takes the data from its own memory,
 * and the call waits while the peer is slow. As a read does, it returns how far it has
 * come, 0 at the end. */
static int send_whole(an_stream *stream, an_file *file)
{
	off_t at = 0;
	ssize_t n;

	while ((n = an_stream_send_file(stream, file, at, SIZE_MAX)) > 0)
		at += n;
	return (int)n;
}

/* The size goes first: that the connection ends tells nobody whether the file did. */
static int send_size_and_file(an_stream *stream, an_file *file)
{
	struct stat st;
	char line[32];
	int len, r = an_file_stat(file, &st);

	if (r)
		return r;
	len = snprintf(line, sizeof(line), "%lld\n", (long long)st.st_size);
	r = an_stream_write(stream, line, (size_t)len);
	return r ? r : send_whole(stream, file);
}

static int send_large_file(void *path, an_stream *stream)
{
	an_file *file;
	int r = an_file_open(path, O_RDONLY, 0, &file);

	if (r)
		return r;
	r = send_size_and_file(stream, file);
	an_file_close(file);
	return r;
}

/* Whatever the size, there is one piece of it in memory here, and what the kernel keeps
 * of a connection. */
static int receive_pieces(an_stream *stream, char *piece, long long size)
{
	unsigned long long sum = 0;
	long long at = 0;
	ssize_t n;

	while ((n = an_stream_read(stream, piece, PIECE)) > 0)
		for (ssize_t i = 0; i < n; i++)
			sum += (unsigned char)piece[i] * (unsigned)(at++ % 7);
	if (n < 0)
		return (int)n;
	if (at != size)
		return AN_ERR_TRUNCATED;
	tour_say("received %lld bytes, check sum %llu", at, sum);
	return 0;
}

/* A piece is too large for a task's stack of 64 KiB. */
static int receive_file(an_stream *stream)
{
	char *piece = malloc(PIECE);
	const char *line;
	size_t len;
	int r = piece ? an_stream_read_line(stream, &line, &len) : -ENOMEM;

	if (!r)
		r = receive_pieces(stream, piece, strtoll(line, NULL, 10));
	free(piece);
	return r;
}

static int visit_for_the_file(const char *port)
{
	an_stream *stream;
	int r = an_connect("127.0.0.1", port, NULL, &stream);

	if (r)
		return r;
	r = receive_file(stream);
	an_stream_close(stream);
	return r;
}

static int make_large_file(const char *path)
{
	char *data = malloc(FILE_SIZE);
	int r;

	if (!data)
		return -ENOMEM;
	for (size_t i = 0; i < FILE_SIZE; i++)
		data[i] = (char)(i * 31 >> 5);
	r = an_path_write(path, data, FILE_SIZE, NULL);
	free(data);
	return r;
}

static int send_from_folder(const char *folder)
{
	char path[TOUR_PATH];
	int r;

	tour_path(path, folder, "large");
	r = make_large_file(path);
	return r ? r : visit_server(send_large_file, path, NULL, visit_for_the_file);
}

static int a_large_file(void *arg)
{
	(void)arg;
	return tour_in_a_folder(send_from_folder);
}

/* ---- a generator ------------------------------------------------------------------- */

/* Sends numbers for as long as somebody takes them. It is never far ahead of its reader,
 * and learns of the reader's end by a write that fails. */
static int count_up(void *arg, an_stream *stream)
{
	char line[32];
	int r = 0;

	(void)arg;
	for (int i = 1; !r; i++) {
		int len = snprintf(line, sizeof(line), "%d\n", i);

		r = an_stream_write(stream, line, (size_t)len);
	}
	return r == -EPIPE || r == -ECONNRESET ? 0 : r;
}

/* async def squares(port): async for line in reader: yield int(line) ** 2 */
static int squares(an_generator *generator, void *port)
{
	const char *line;
	an_stream *stream;
	size_t len;
	long square;
	int r = an_connect("127.0.0.1", port, NULL, &stream);

	if (r)
		return r;
	while (!r && !(r = an_stream_read_line(stream, &line, &len))) {
		square = strtol(line, NULL, 10) * strtol(line, NULL, 10);
		r = an_generator_yield(generator, &square);
	}
	an_stream_close(stream);
	tour_say("the generator puts its connection away: %s", tour_code(r));
	return r;
}

/* async for square in squares(port): ...; break. asyncio leaves a generator that was not
 * read to its end to the garbage collector, unless one remembers aclosing(). The item is
 * the generator's, which goes on when we next wait. */
static int visit_for_squares(const char *port)
{
	an_generator generator;
	void *item;
	int end, r = an_generator_begin(&generator, squares, (void *)port);

	while (!r && !(r = an_generator_next(&generator, &item))) {
		tour_say("%ld", *(long *)item);
		if (*(long *)item > 10)
			break;
	}
	end = an_generator_end(&generator);
	return r ? r : end;
}

static int a_generator(void *arg)
{
	(void)arg;
	return visit_server(count_up, NULL, NULL, visit_for_squares);
}

const struct tour_section tour_io_streams[] = {
	{ "Lines there and back", .task = lines_there_and_back },
	{ "Limits for strangers", .task = limits_for_strangers },
	{ "A large file as a stream", .task = a_large_file },
	{ "A generator over a stream", .task = a_generator },
	{ 0 },
};
