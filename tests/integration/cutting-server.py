"""A server that cuts the first answer for each path after a third of it, and understands ranges.

Serves the file given as its argument under every path; prints its port; writes a line for each
request to the second argument: status, first byte, If-Range. /busy/... answers 503 with
Retry-After: 1 the first time instead. Under /short/... and /long/... the first answer to a range
has less or more of a body than its Content-Range says.
"""
import http.server
import re
import socketserver
import sys

ETAG = '"strong-1"'
content = open(sys.argv[1], "rb").read()
log = open(sys.argv[2], "w", buffering=1)
seen = set()
lied = set()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        first = self.path not in seen
        seen.add(self.path)
        if first and self.path.startswith("/busy/"):
            self.answer(503, len(content), b"", 0, ("Retry-After", "1"))
            return
        start = 0
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if match and self.headers.get("If-Range") == ETAG:
            start = int(match[1])
        total = len(content)
        span = ("Content-Range", f"bytes {start}-{total - 1}/{total}")
        body = content[start:]
        if start and self.path not in lied:
            lied.add(self.path)
            if self.path.startswith("/short/"):
                body = body[:1000]
            elif self.path.startswith("/long/"):
                body += b"more"
        self.answer(206 if start else 200, start, body, total // 3 if first else len(body),
                    ("ETag", ETAG), *([span] if start else []))
        self.close_connection = first

    def answer(self, status, start, body, sent, *fields):
        log.write(f"{status} {start} {self.headers.get('If-Range')}\n")
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
