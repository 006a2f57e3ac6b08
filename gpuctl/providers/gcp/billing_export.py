"""Google's billing export, asked for where it lies: one query to BigQuery, row by row as JSON.

The rows are those of an exported file, so that one reader knows them. Source: BigQuery REST API,
jobs.query and jobs.getQueryResults.
"""

import re
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from gpuctl.core.errors import Denied, GpuctlError, NotFound, UsageProblem
from gpuctl.core.span import Span, format_time
from gpuctl.providers.gcp.client import loopback
from gpuctl.providers.gcp.errors import LOGIN, Json

ENDPOINT = "https://bigquery.googleapis.com"
SCOPE = "https://www.googleapis.com/auth/bigquery"
_TABLE = re.compile(r"([a-z][a-z0-9.:-]{4,61}[a-z0-9])\.(\w{1,1024})\.([\w-]{1,1024})\Z", re.ASCII)
_PAGE = 5000
_WAIT_MS = 20_000
_LONGEST_S = 600.0
_TIMEOUT = 60.0


def rows(granted: Any, endpoint: str | None, table: str, span: Span) -> Iterator[str]:
    """Each row of `PROJECT.DATASET.TABLE` with usage in `span`, as one line of JSON.

    BigQuery bills what a query reads (the first TiB of a month is free). Raises UsageProblem for a
    name that is none, Denied, NotFound, and GpuctlError with Google's words.
    """
    match = _TABLE.match(table)
    if match is None:
        raise UsageProblem(
            f"{table!r} is not the name of a table",
            hint="--bigquery PROJECT.DATASET.gcp_billing_export_resource_v1_ACCOUNT",
        )
    from google.auth.transport.requests import AuthorizedSession

    root = f"{(endpoint or ENDPOINT).rstrip('/')}/bigquery/v2/projects/{match.group(1)}/queries"
    with AuthorizedSession(granted) as session:  # type: ignore[no-untyped-call]
        session.trust_env = not loopback(root)
        question = _question(table, span)
        answer = _ask(lambda: session.post(root, json=question, timeout=_TIMEOUT), table)
        yield from _pages(session, root, answer, table)


def _question(table: str, span: Span) -> Json:
    # The name was matched above: a table cannot be a parameter of a query.
    query = (
        f"SELECT TO_JSON_STRING(t) FROM `{table}` AS t "  # noqa: S608
        "WHERE t.usage_end_time > @since AND t.usage_start_time < @until"
    )
    moments = {"since": span.start, "until": span.end}
    return {
        "query": query,
        "useLegacySql": False,
        "parameterMode": "NAMED",
        "queryParameters": [
            {
                "name": name,
                "parameterType": {"type": "TIMESTAMP"},
                "parameterValue": {"value": format_time(moment)},
            }
            for name, moment in moments.items()
        ],
        "maxResults": _PAGE,
        "timeoutMs": _WAIT_MS,
    }


def _pages(session: Any, root: str, answer: Json, table: str) -> Iterator[str]:
    begun = time.monotonic()
    while True:
        job = answer.get("jobReference") or {}
        where = {"location": job.get("location") or "", "maxResults": str(_PAGE)}
        if not answer.get("jobComplete"):
            if time.monotonic() - begun > _LONGEST_S:
                raise GpuctlError(f"BigQuery did not answer about {table} in ten minutes")
            where["timeoutMs"] = str(_WAIT_MS)
        else:
            for row in answer.get("rows") or ():
                yield str(row["f"][0]["v"])
            token = answer.get("pageToken")
            if not token:
                return
            where["pageToken"] = token
        url = f"{root}/{job['jobId']}"
        answer = _ask(partial(session.get, url, params=where, timeout=_TIMEOUT), table)


def _ask(send: Callable[[], Any], table: str) -> Json:
    from google.auth.exceptions import GoogleAuthError
    from requests import RequestException  # noqa: PLC0415 - comes with Google's transport

    try:
        return _said(send(), table)
    except RequestException as error:
        raise GpuctlError(
            f"BigQuery could not be reached about {table}", detail=str(error)
        ) from error
    except GoogleAuthError as error:
        words = f"Google's credentials are not good enough to read {table}"
        raise Denied(words, hint=LOGIN, detail=str(error)) from error


def _said(answer: Any, table: str) -> Json:
    """The body, or what Google refused, named by the next step."""
    try:
        body: Json = answer.json()
    except ValueError:
        body = {}
    if answer.status_code == 200 and body:  # noqa: PLR2004 - HTTP
        return body
    words = str((body.get("error") or {}).get("message") or f"HTTP {answer.status_code}")
    if answer.status_code in (401, 403):
        hint = LOGIN if answer.status_code == 401 else "roles/bigquery.jobUser and dataViewer"  # noqa: PLR2004
        raise Denied(f"BigQuery refused to read {table}: {words}", hint=hint)
    if answer.status_code == 404:  # noqa: PLR2004
        raise NotFound(f"there is no table {table}: {words}", hint="bq ls PROJECT:DATASET")
    raise GpuctlError(f"BigQuery could not read {table}: {words}")
