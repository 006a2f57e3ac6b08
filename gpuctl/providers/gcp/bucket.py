"""A Cloud Storage bucket, read with the user's own rights, by its JSON API."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from gpuctl.core.checkpoints import Stored
from gpuctl.core.errors import Busy, Denied, NotFound
from gpuctl.providers.gcp.client import credentials, loopback
from gpuctl.providers.gcp.errors import LOGIN

SCOPES = ("https://www.googleapis.com/auth/devstorage.read_only",)
GOOGLE = "https://storage.googleapis.com"
_EMULATOR = "STORAGE_EMULATOR_HOST"
_TIMEOUT_S = 60.0
_BLOCK = 1 << 18
_OK, _MISSING, _DENIED = 200, 404, (401, 403)


def connect_bucket(name: str, environ: Mapping[str, str]) -> "GcsBucket":
    """By the application default credentials; STORAGE_EMULATOR_HOST is Google's own name for
    another address, and on loopback nobody is asked for credentials. `Denied` without any.
    """
    from google.auth.transport.requests import AuthorizedSession

    endpoint = environ.get(_EMULATOR) or None
    if endpoint is not None and "//" not in endpoint:
        endpoint = f"http://{endpoint}"
    granted, _ = credentials(endpoint, SCOPES, variable=_EMULATOR)
    session = AuthorizedSession(granted)  # type: ignore[no-untyped-call]
    if endpoint is not None and loopback(endpoint, _EMULATOR):
        session.trust_env = False  # a proxy cannot reach this machine's loopback
    return GcsBucket(session, name, endpoint or GOOGLE)


class GcsBucket:
    """Keeps the promises of `core.checkpoints.Store`."""

    def __init__(self, session: Any, name: str, base: str) -> None:
        self._session = session
        self._name = name
        self._base = f"{base.rstrip('/')}/storage/v1/b/{name}/o"

    def entries(self, prefix: str) -> Iterator[Stored]:
        """All pages. `NotFound` without such a bucket, `Denied` without the right."""
        query = {"prefix": prefix, "fields": "items(name,size,updated),nextPageToken"}
        while True:
            page = self._ask(self._base, query, f"listing gs://{self._name}/{prefix}").json()
            for one in page.get("items") or ():
                at = datetime.fromisoformat(one["updated"])
                yield Stored(one["name"], int(one["size"]), at.timestamp())
            if not page.get("nextPageToken"):
                return
            query["pageToken"] = page["nextPageToken"]

    def read(self, key: str) -> Iterator[bytes]:
        """By blocks."""
        url = f"{self._base}/{quote(key, safe='')}"
        try:
            answer = self._ask(url, {"alt": "media"}, f"reading gs://{self._name}/{key}")
        except NotFound as error:
            raise FileNotFoundError(key) from error
        with answer:
            yield from answer.iter_content(_BLOCK)

    def _ask(self, url: str, query: Mapping[str, str], doing: str) -> Any:
        from google.auth.exceptions import GoogleAuthError
        from requests.exceptions import RequestException  # noqa: PLC0415 - Google's own HTTP

        try:
            answer = self._session.get(url, params=query, timeout=_TIMEOUT_S, stream=True)
        except GoogleAuthError as error:
            raise Denied(f"{doing}: Google refused", hint=LOGIN, detail=str(error)) from error
        except RequestException as error:
            raise Busy(f"{doing}: no answer", detail=str(error)) from error
        if answer.status_code == _OK:
            return answer
        detail = answer.text[:300]
        if answer.status_code in _DENIED:
            raise Denied(f"{doing}: Google refused", hint=LOGIN, detail=detail)
        if answer.status_code == _MISSING:
            raise NotFound(f"{doing}: there is no such bucket or object", detail=detail)
        raise Busy(f"{doing}: HTTP {answer.status_code}", detail=detail)
