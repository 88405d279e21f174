"""A server that cuts the first answer for each path after a third of it, and understands ranges.

Serves the file given as its argument under every path; prints its port; writes a line for each
request to the second argument: status, first byte, If-Range. /busy/... answers 503 with
Retry-After: 1 the first time instead.
"""
import http.server
import re
import socketserver
import sys

ETAG = '"strong-1"'
content = open(sys.argv[1], "rb").read()
log = open(sys.argv[2], "w", buffering=1)
seen = set()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        first = self.path not in seen
        seen.add(self.path)
        if first and self.path.startswith("/busy/"):
            self.answer(503, b"", 0, ("Retry-After", "1"))
            return
        start = 0
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if match and self.headers.get("If-Range") == ETAG:
            start = int(match[1])
        total = len(content)
        span = ("Content-Range", f"bytes {start}-{total - 1}/{total}")
        self.answer(206 if start else 200, content[start:], total // 3 if first else total,
                    ("ETag", ETAG), *([span] if start else []))
        self.close_connection = first

    def answer(self, status, body, sent, *fields):
        log.write(f"{status} {len(content) - len(body)} {self.headers.get('If-Range')}\n")
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for field in fields:
            self.send_header(*field)
        self.end_headers()
        self.wfile.write(body[:sent])

    def log_message(self, *_arguments):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


server = Server(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
