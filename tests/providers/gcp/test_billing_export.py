"""Google's billing export is read where it lies, and comes to what its file does."""

import json
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from google.auth.credentials import AnonymousCredentials

from gpuctl.core.errors import Denied, GpuctlError, NotFound, UsageProblem
from gpuctl.core.span import Span
from gpuctl.providers.gcp.billing_export import rows
from tests.cli.program import Program

TABLE = "freelance-ml.billing.gcp_billing_export_resource_v1_0A-1B"
SPAN = Span(datetime(2025, 3, 1, 8, tzinfo=UTC), datetime(2025, 4, 1, 7, tzinfo=UTC))


def row(number, cost="0.35"):
    day = f"2025-03-{number + 1:02}"
    return {
        "billing_account_id": "0A-1B",
        "service": {"id": "6F81-5844-456A", "description": "Compute Engine"},
        "sku": {"id": "x", "description": "Nvidia Tesla T4 GPU running in Americas"},
        "usage_start_time": f"{day}T10:00:00Z",
        "usage_end_time": f"{day}T11:00:00Z",
        "project": {"id": "freelance-ml", "labels": []},
        "labels": [{"key": "gpuctl-project", "value": "acme__vision"}],
        "location": {"region": "us-central1", "zone": "us-central1-a"},
        "resource": {"name": "nlp-1", "global_name": "//compute/nlp-1"},
        "cost": float(cost),
        "currency": "USD",
        "currency_conversion_rate": 1.0,
        "usage": {"amount": 3600, "unit": "seconds"},
        "credits": [],
        "invoice": {"month": "202503"},
        "cost_type": "regular",
    }


class BigQuery(ThreadingHTTPServer):
    """One table: slow to answer, in pages, and able to refuse."""

    daemon_threads = True

    def __init__(self, table, refusal=None):
        super().__init__(("127.0.0.1", 0), _Answer)
        self.table, self.refusal = table, refusal
        self.asked, self.waits, self.page = [], 2, 2


class _Answer(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(body)
        if self.server.refusal:
            status, words = self.server.refusal
            self._send(status, {"error": {"message": words}})
            return
        self._send(200, {"jobComplete": False, "jobReference": _JOB})

    def do_GET(self):
        url = urlsplit(self.path)
        query = {name: value[0] for name, value in parse_qs(url.query).items()}
        assert (url.path.rpartition("/")[2], query["location"]) == (_JOB["jobId"], "EU")
        if self.server.waits:
            self.server.waits -= 1
            self._send(200, {"jobComplete": False, "jobReference": _JOB})
            return
        start = int(query.get("pageToken", 0))
        end = start + self.server.page
        found = [{"f": [{"v": json.dumps(one)}]} for one in self.server.table[start:end]]
        more = {"pageToken": str(end)} if end < len(self.server.table) else {}
        self._send(200, {"jobComplete": True, "jobReference": _JOB, "rows": found, **more})

    def _send(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


_JOB = {"projectId": "freelance-ml", "jobId": "job_1", "location": "EU"}


@contextmanager
def serving(table, refusal=None):
    server = BigQuery(table, refusal)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_every_page_of_a_query_that_takes_its_time():
    table = [row(number) for number in range(5)]
    with serving(table) as (server, url):
        found = list(rows(AnonymousCredentials(), url, TABLE, SPAN))
    assert [json.loads(line) for line in found] == table
    (asked,) = server.asked
    assert f"FROM `{TABLE}`" in asked["query"]
    assert asked["useLegacySql"] is False
    values = {p["name"]: p["parameterValue"]["value"] for p in asked["queryParameters"]}
    assert values == {"since": "2025-03-01T08:00:00Z", "until": "2025-04-01T07:00:00Z"}


@pytest.mark.parametrize(
    "name",
    ["table", "p.d", "freelance-ml.d.t`; DROP", "freelance-ml.d.t t", "Free.d.t", "a.b.c.d"],
)
def test_what_is_no_table_is_never_sent(name):
    with serving([]) as (server, url), pytest.raises(UsageProblem, match="not the name of a table"):
        list(rows(AnonymousCredentials(), url, name, SPAN))
    assert server.asked == []


@pytest.mark.parametrize(("status", "error"), [(403, Denied), (404, NotFound), (500, GpuctlError)])
def test_a_refusal_is_told_in_google_s_words(status, error):
    with serving([], (status, "Access Denied: x")) as (_, url), pytest.raises(error) as caught:
        list(rows(AnonymousCredentials(), url, TABLE, SPAN))
    assert "Access Denied: x" in str(caught.value)


def test_credentials_that_do_not_do_and_a_server_that_is_not_there():
    with serving([], (401, "Login Required")) as (_, url), pytest.raises(Denied, match="not good"):
        list(rows(AnonymousCredentials(), url, TABLE, SPAN))
    with pytest.raises(GpuctlError, match="could not be reached"):
        list(rows(AnonymousCredentials(), url, TABLE, SPAN))


def test_the_program_settles_against_it(tmp_path):
    usage = {
        "v": 1, "type": "usage", "id": "u1", "provider": "gcp", "account": "freelance-ml",
        "region": "us-central1", "zone": "us-central1-a", "resource": "nlp-1", "kind": "gpu",
        "sku": "nvidia-tesla-t4", "market": "on-demand", "quantity": "1",
        "start": "2025-03-02T10:00:00Z", "end": "2025-03-02T11:00:00Z", "ended_by": "user",
        "project": "acme/vision",
    }  # fmt: skip
    price = {
        "v": 1, "type": "price", "id": "p1", "provider": "gcp", "kind": "gpu",
        "sku": "nvidia-tesla-t4", "unit": "hour", "usd": "0.30", "from": "2025-01-01T00:00:00Z",
    }  # fmt: skip
    (tmp_path / "in.jsonl").write_text(f"{json.dumps(usage)}\n{json.dumps(price)}\n")
    with serving([row(1)]) as (_, url):
        gpuctl = Program(tmp_path, {"GPUCTL_GCP_ENDPOINT": url, "GOOGLE_CLOUD_PROJECT": "p-12345"})
        gpuctl("ledger", "import", "in.jsonl")
        argv = ("reconcile", "--bigquery", TABLE, "--month", "2025-03", "--tolerance", "50%")
        made = gpuctl(*argv, "-o", "json").json
        assert (made["rows"], made["bill_total"], made["settled"]) == (1, "0.35", 1)
        assert TABLE in made["source"]
        both = gpuctl("reconcile", "--bigquery", TABLE, "--from", "x.csv", code=2)
        assert "leave out --from" in both.err
    assert gpuctl("spend", "--month", "2025-03", "-o", "json").json["total"] == "0.35"
