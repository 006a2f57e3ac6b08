"""Cloud Storage's JSON API as far as checkpoints need it, from Google's reference pages."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

PAGE = 3
TOKEN = "/computeMetadata/v1/instance/service-accounts/default/token"


class FakeGcs:
    """`objects` by name; `fails` statuses answered before anything is done; `lie` damages."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.fails: list[int] = []
        self.lie = False
        self.lost = False
        self.lock = threading.Lock()
        self.account = True

    def list(self, query: dict[str, str]) -> dict[str, object]:
        names = sorted(n for n in self.objects if n.startswith(query["prefix"]))
        at = int(query.get("pageToken", 0))
        told: dict[str, object] = {
            "items": [
                {"name": n, "size": str(len(self.objects[n])), "updated": "2026-11-22T10:00:00.5Z"}
                for n in names[at : at + PAGE]
            ]
        }
        if at + PAGE < len(names):
            told["nextPageToken"] = str(at + PAGE)
        return told if names else {}

    def insert(self, query: dict[str, str], body: bytes) -> tuple[int, object]:
        with self.lock:
            if query.get("ifGenerationMatch") == "0" and query["name"] in self.objects:
                return 412, {"error": {"code": 412}}
            self.objects[query["name"]] = body
        digest = hashlib.md5(body + (b"!" if self.lie else b"")).digest()
        return 200, {"name": query["name"], "md5Hash": base64.b64encode(digest).decode()}

    def handler(fake):  # noqa: N805, C901
        class Handler(BaseHTTPRequestHandler):
            def answer(self):
                url = urlsplit(self.path)
                query = {k: v[-1] for k, v in parse_qs(url.query, keep_blank_values=True).items()}
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if url.path == TOKEN:
                    if not fake.account or self.headers["Metadata-Flavor"] != "Google":
                        return self.say(404, {})
                    return self.say(200, {"access_token": "good", "expires_in": 3599})
                if fake.fails:
                    return self.say(fake.fails.pop(0), {"error": "scripted"})
                _, _, name = url.path.partition("/storage/v1/b/box/o")
                name = unquote(name[1:])
                if self.command == "POST":
                    told = fake.insert(query, body)
                    if fake.lost:
                        fake.lost = False
                        self.close_connection = True
                        return self.connection.close()
                    return self.say(*told)
                if not name:
                    return self.say(200, fake.list(query))
                if name not in fake.objects:
                    return self.say(404, {})
                if self.command == "DELETE":
                    del fake.objects[name]
                    return self.say(204, None)
                return self.say(200, fake.objects[name])

            do_GET = do_POST = do_DELETE = answer  # noqa: N815

            def say(self, status, told):
                data = told if isinstance(told, bytes) else json.dumps(told).encode()
                data = b"" if told is None else data
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        return Handler


class QuietServer(ThreadingHTTPServer):
    def handle_error(self, *_):
        """A connection that was cut on purpose."""


@contextmanager
def serving(fake: FakeGcs) -> Iterator[str]:
    server = QuietServer(("127.0.0.1", 0), fake.handler())
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()
