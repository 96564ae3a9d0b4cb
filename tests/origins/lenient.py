"""An origin on Python's http.server, lenient as that is and a little more so: prints each request that it takes for
a whole one, and its address at start. Ends with its standard input."""

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __getattr__(self, name):
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def answer(self):
        try:
            body = self.body()
        except (ValueError, OverflowError):
            # Cut off, or no chunks: not a whole request.
            self.close_connection = True
            return
        seen = {"method": self.command, "target": self.path, "body": body.decode("latin-1")}
        print("seen " + json.dumps(seen), flush=True)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def body(self):
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return self.chunks()
        return self.exactly(int(self.headers.get("Content-Length") or 0))

    def chunks(self):
        body = b""
        while True:
            size = int(self.line().split(b";")[0], 16)
            if size == 0:
                while self.line().strip():
                    pass
                return body
            body += self.exactly(size)
            self.line()

    def line(self):
        line = self.rfile.readline()
        if not line:
            raise ValueError("cut off")
        return line

    def exactly(self, length):
        body = self.rfile.read(length)
        if len(body) < length:
            raise ValueError("cut off")
        return body

    def log_message(self, *_):
        pass


def end_with_the_test():
    sys.stdin.read()
    os._exit(0)


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=end_with_the_test, daemon=True).start()
print("origin ready address=%s:%d" % server.server_address, flush=True)
server.serve_forever()
