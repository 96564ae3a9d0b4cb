"""Echoes requests as JSON, one connection a thread, and keeps each as a line of the file that it is given.

Prints its port first. `POST /carts` makes an id that a later request can name; paths that begin with /teapot are 418.
"""

import itertools
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

log = open(sys.argv[1], "a", encoding="utf-8")
lock = threading.Lock()
carts = itertools.count(1)


class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def answer(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        seen = {
            "method": self.command,
            "path": self.path,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "body": body.decode("latin-1"),
            "port": self.client_address[1],
        }
        with lock:
            cart = next(carts) if (self.command, self.path) == ("POST", "/carts") else None
            log.write(json.dumps(seen) + "\n")
            log.flush()
        reply = json.dumps({"id": f"cart/{cart}"} if cart else seen).encode()
        self.send_response(418 if self.path.startswith("/teapot") else 200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(reply)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = answer

    def log_message(self, *arguments):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 128


server = Server(("127.0.0.1", 0), Echo)
print(server.server_address[1], flush=True)
server.serve_forever()
