"""A metadata service on loopback that says what it is told to, AWS's and Google's in one."""

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ACTION = "/latest/meta-data/spot/instance-action"
REBALANCE = "/latest/meta-data/events/recommendations/rebalance"
TAG = "/latest/meta-data/tags/instance/gpuctl:deadline"
PREEMPTED = "/computeMetadata/v1/instance/preempted"


def notice(at="2026-11-22T10:15:00Z"):
    return json.dumps({"action": "terminate", "time": at})


class FakeMetadata:
    """`says[path]` is (status, body) or a callable that answers by itself; else 404."""

    def __init__(self):
        self.says = {}
        self.tokens = {"good"}
        self.given = "good"
        self.asked = []
        self.free = threading.Event()
        self.met = threading.Event()
        self.first = 0.0, 0.0
        """When it was first asked: on the steady clock, and on the wall's."""
        self._lock = threading.Lock()

    def ask(self, what):
        with self._lock:
            if not self.asked:
                self.first = time.monotonic(), time.time()
            self.asked.append(what)
        self.met.set()

    def handler(fake):  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self):
                fake.ask("token")
                assert self.headers["X-aws-ec2-metadata-token-ttl-seconds"] == "21600"
                answer = fake.says.get("token", (200, fake.given))
                if callable(answer):
                    answer(self)
                else:
                    self.say(*answer)

            def do_GET(self):
                fake.ask(self.path)
                path = self.path.partition("?")[0]
                google = self.headers["Metadata-Flavor"] == "Google"
                if not google and self.headers["X-aws-ec2-metadata-token"] not in fake.tokens:
                    self.say(401, "")
                    return
                answer = fake.says.get(path, (404, ""))
                if callable(answer):
                    answer(self)
                else:
                    self.say(*answer)

            def say(self, status, body, **headers):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_):
                pass

        return Handler


class Server(ThreadingHTTPServer):
    """Clients that have given up are no errors of its own."""

    def handle_error(self, *_):
        pass


@contextmanager
def serving(fake):
    server = Server(("127.0.0.1", 0), fake.handler())
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server.server_port
    fake.free.set()
    server.shutdown()
    server.server_close()
    thread.join()
