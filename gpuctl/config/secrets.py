"""Texts that look like credentials, so that none is committed in a project file."""

import re
from collections.abc import Iterator

from gpuctl.config.documents import Document
from gpuctl.config.keys import dotted
from gpuctl.core.errors import Problem

_SECRETS = {
    "an AWS access key": r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "a GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,})",
    "a Google API key": r"\bAIza[A-Za-z0-9_-]{30,}",
    "a Hugging Face token": r"\bhf_[A-Za-z0-9]{20,}",
    "an API key": r"\bsk-[A-Za-z0-9_-]{20,}",
    "a Slack token": r"\bxox[abprs]-[A-Za-z0-9-]{10,}",
    "a password in an address": r"\b[a-z][a-z0-9+.-]*://[^\s/:@]*:[^\s/:@$]+@",
    "a secret": (
        r"(?i:(?:password|passwd|secret|token|api_?key|access_?key)[a-z_]*\s*[=:]\s*)"
        r"['\"]?(?![$({<])[^\s'\"]{8,}"
    ),
}


def secrets_in(document: Document) -> Iterator[Problem]:
    """One problem for each text that looks like a secret; the text itself is not repeated."""
    for path, text in _texts(document.tree, ()):
        looks = next((name for name, form in _SECRETS.items() if re.search(form, text)), None)
        if looks is not None:
            reason = (
                f"looks like {looks}: this file is for everyone who has the repository; "
                "name a variable in run.env instead"
            )
            yield Problem(document.file, document.line(path), dotted(path), reason)


def _texts(
    value: object, path: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _texts(inner, (*path, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _texts(inner, (*path, index))
