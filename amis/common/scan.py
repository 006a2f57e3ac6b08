#!/usr/bin/env python3
"""Looks for secrets, logins and traces of the builder in what is about to become an image.

    scan.py [--goes KIND,KIND] [--json] [ROOT]

One line a finding, `KIND  PATH`: never the secret itself, nor a part of it. Exit 0: nothing found;
1: something found, or something could not be read; 2: wrong arguments. `--goes` leaves out
kinds that a later step removes. Standard library only, from Python 3.9 on; reads, never writes.

By path it knows where programs keep credentials; by content it knows the forms of keys that have
one. A file that is byte for byte what a package shipped (dpkg's lists, a wheel's RECORD) is no
finding: test keys in packages are public. What it cannot know: a password without a form, anything
that is encrypted or compressed, and what a layer of a container image holds.
"""

from __future__ import annotations

import argparse
import base64
import csv
import hashlib
import json
import os
import re
import stat
import sys
from collections.abc import Iterator
from fnmatch import translate
from pathlib import Path
from typing import NamedTuple

NOT_OF_THE_DISK = ("proc", "sys", "dev", "run", "lost+found")
"""Directly under the root: not of the disk that becomes the image."""

LARGEST = 32 << 20
"""Bytes. Text that is larger is read as far as this; data is told by its first block."""
BLOCK = 8192

PLACES = (
    # kind, pattern of the path below the root ("**/" = at any depth)
    ("aws", "**/.aws/*"),
    ("gcp", "**/.config/gcloud/*"),
    ("gcp", "**/.boto"),
    ("azure", "**/.azure/*"),
    ("gpuctl", "**/.config/gpuctl/*"),
    ("gpuctl", "**/.local/share/gpuctl/*"),
    ("netrc", "**/.netrc"),
    ("netrc", "**/_netrc"),
    ("pypirc", "**/.pypirc"),
    ("git", "**/.git-credentials"),
    ("git", "**/.config/git/credentials"),
    ("github", "**/.config/gh/hosts.yml"),
    ("huggingface", "**/.huggingface/token"),
    ("huggingface", "**/huggingface/token"),
    ("huggingface", "**/huggingface/stored_tokens"),
    ("docker", "**/.docker/config.json"),
    ("kaggle", "**/.kaggle/kaggle.json"),
    ("npm", "**/.npmrc"),
    ("postgres", "**/.pgpass"),
    ("env", "**/.env"),
    ("env", "**/.env.*"),
    ("private-key", "**/.gnupg/private-keys-v1.d/*"),
    ("history", "**/.*_history"),
    ("history", "**/.lesshst"),
    ("history", "**/.viminfo"),
    ("login", "**/.ssh/authorized_keys"),
    ("login", "**/.ssh/authorized_keys2"),
    ("host-key", "etc/ssh/ssh_host_*_key"),
    ("host-key", "etc/ssh/ssh_host_*_key.pub"),
    ("cloud-init", "var/lib/cloud/instances/*"),
    ("cloud-init", "var/lib/cloud/instance/*"),
    ("cloud-init", "var/lib/cloud/seed/*"),
    ("lease", "etc/gpuctl/lease.json*"),
    ("lease", "etc/gpuctl/deadline"),
    ("lease", "etc/systemd/system/gpuctl-deadline.timer"),
    ("pip", "run/gpuctl/pip.conf"),
)
"""Where a file that is not empty is a finding, whatever it says."""

_QUOTED = rb"\s*[=:]\s*[\"']?"
_PRIVATE_KEY = (
    rb"-----BEGIN (?:[A-Z0-9]+ ){0,2}PRIVATE KEY(?: BLOCK)?-----"
    rb"\s*(?:\\n)?(?:[A-Za-z-]+: [^\n]*\n|\s)*[A-Za-z0-9+/=]{40,}"
)
"""With its first line of base64: code that only speaks of keys has none."""
_INDEX = rb"(?m)^[\w.-]*(?:index|url|deb)\b[^\n]*?https?://[^\s:/@]+:[^\s:/@]{4,}@"
"""A password for a package index, in the settings of pip or apt."""
FORMS = (
    # kind, what every find holds (looked for first: quick), the whole form
    ("aws", rb"A[KS]IA", rb"(?<![A-Za-z0-9])A[KS]IA[A-Z2-7]{16}(?![A-Za-z0-9])"),
    (
        "aws",
        rb"(?i:secret_?access_?key)",
        rb"(?i:secret_?access_?key)" + _QUOTED + rb"[A-Za-z0-9/+]{40}",
    ),
    ("github", rb"gh[pousr]_", rb"\bgh[pousr]_[A-Za-z0-9]{36,}"),
    ("github", rb"github_pat_", rb"\bgithub_pat_[A-Za-z0-9_]{50,}"),
    ("gitlab", rb"glpat-", rb"\bglpat-[A-Za-z0-9_-]{20,}"),
    ("huggingface", rb"hf_", rb"\bhf_[A-Za-z]{34}\b"),
    (
        "openai",
        rb"sk-",
        rb"\bsk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{20,}T3BlbkFJ[A-Za-z0-9_-]{20,}",
    ),
    ("openai", rb"sk-", rb"\bsk-[A-Za-z0-9]{48}\b"),
    ("anthropic", rb"sk-ant-", rb"\bsk-ant-[A-Za-z0-9]+-[A-Za-z0-9_-]{40,}"),
    ("nvidia", rb"nvapi-", rb"\bnvapi-[A-Za-z0-9_-]{60,}"),
    ("slack", rb"xox[abposr]-", rb"\bxox[abposr]-[0-9]+-[A-Za-z0-9-]{20,}"),
    ("gcp", rb"AIza", rb"\bAIza[A-Za-z0-9_-]{35}\b"),
    ("gcp", rb"private_key_id", rb"\"private_key_id\"\s*:\s*\"[0-9a-f]{40}\""),
    ("gcp", rb"refresh_token", rb"\"refresh_token\"\s*:\s*\"1//[A-Za-z0-9_-]{40,}\""),
    ("wandb", rb"(?i:wandb_api_key)", rb"(?i:wandb_api_key)" + _QUOTED + rb"[0-9a-f]{40}\b"),
    ("private-key", rb"PRIVATE KEY", _PRIVATE_KEY),
    ("url-password", rb"://[^\s:/@]+:[^\s:/@]+@", _INDEX),
)
"""What a file may not hold: the forms that the services give their keys so that they are found."""

EXAMPLE = re.compile(rb"(?:EXAMPLE(?:KEY)?|[xX0]{12}|\.{3})")
"""In AWS's own documentation every made-up key ends so."""


class Finding(NamedTuple):
    """A kind and a path below the root; never more."""

    kind: str
    path: str


class Form(NamedTuple):
    """A form of secrets, compiled."""

    kind: str
    hint: re.Pattern[bytes]
    whole: re.Pattern[bytes]


def compiled_place(pattern: str) -> re.Pattern[str]:
    """`*` stands for all that is below, too; `**/` for any depth, none included."""
    anywhere = pattern.startswith("**/")
    return re.compile(("(?:.*/)?" if anywhere else "") + translate(pattern.removeprefix("**/")))


COMPILED_PLACES = tuple((kind, compiled_place(pattern)) for kind, pattern in PLACES)
ANY_PLACE = re.compile("|".join(sorted({place.pattern for _, place in COMPILED_PLACES})))
COMPILED = tuple(Form(kind, re.compile(hint), re.compile(whole)) for kind, hint, whole in FORMS)
ANY_HINT = re.compile(b"|".join(sorted({hint for _, hint, _ in FORMS})))


def scan(root: Path) -> Iterator[Finding]:
    """Every finding, in the order of paths. Links are not followed, other disks are."""
    shipped = Shipped(root)
    for path, inside in files(root):
        try:
            facts = os.lstat(path)
            if not stat.S_ISREG(facts.st_mode) or not facts.st_size:
                continue
            kinds = placed(inside)
            kinds |= set(held(path)) - kinds
            if kinds and not shipped.has(path, inside):
                yield from (Finding(kind, inside) for kind in sorted(kinds))
        except FileNotFoundError:
            continue  # gone since it was listed
        except OSError:
            yield Finding("unreadable", inside)


def files(root: Path) -> Iterator[tuple[Path, str]]:
    """Each file with its path below the root, sorted; a directory that cannot be read as well."""
    missed: list[str] = []
    for directory, names, leaves in os.walk(root, onerror=lambda e: missed.append(e.filename)):
        names.sort()
        if Path(directory) == root:
            names[:] = [name for name in names if name not in NOT_OF_THE_DISK]
        for name in sorted(leaves):
            path = Path(directory, name)
            yield path, path.relative_to(root).as_posix()
    for name in missed:
        yield Path(name, "."), Path(name).relative_to(root).as_posix()


def placed(inside: str) -> set[str]:
    """The kinds whose places a path lies at."""
    if not ANY_PLACE.match(inside):
        return set()
    return {kind for kind, place in COMPILED_PLACES if place.match(inside)}


def held(path: Path) -> Iterator[str]:
    """Kinds of what the text of a file holds; () for data."""
    with path.open("rb") as file:
        head = file.read(BLOCK)
        if b"\0" in head:
            return
        text = head + file.read(LARGEST - len(head))
    if not ANY_HINT.search(text):
        return
    for form in COMPILED:
        if form.hint.search(text) and any(
            not EXAMPLE.search(match.group()) for match in form.whole.finditer(text)
        ):
            yield form.kind


class Shipped:
    """What packages put there, unchanged; their lists are read at the first finding."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._md5: dict[str, str] | None = None
        self._records: dict[Path, dict[str, str]] = {}

    def has(self, path: Path, inside: str) -> bool:
        """Whether a file is byte for byte what its package shipped."""
        known = self._dpkg().get(inside)
        if known is not None:
            return hashed(path, "md5") == known
        known = self._wheel(path)
        return known is not None and known == hashed(path, "sha256")

    def _dpkg(self) -> dict[str, str]:
        if self._md5 is None:
            self._md5 = {}
            for file in (self.root / "var/lib/dpkg/info").glob("*.md5sums"):
                for line in file.read_text("utf-8", "replace").splitlines():
                    digest, _, name = line.partition("  ")
                    self._md5[name] = digest
            self._md5.update(settings_of_packages(self.root / "var/lib/dpkg/status"))
        return self._md5

    def _wheel(self, path: Path) -> str | None:
        for parent in path.parents:
            if parent.name in ("site-packages", "dist-packages"):
                if parent not in self._records:
                    self._records[parent] = recorded(parent)
                return self._records[parent].get(path.relative_to(parent).as_posix())
            if parent == self.root:
                break
        return None


def settings_of_packages(status: Path) -> Iterator[tuple[str, str]]:
    """Path below the root and MD5 of each file that dpkg knows as a setting (`Conffiles:`)."""
    if status.exists():
        for line in status.read_text("utf-8", "replace").splitlines():
            match = re.fullmatch(r" /(\S+) ([0-9a-f]{32})(?: obsolete)?", line)
            if match:
                yield match[1], match[2]


def recorded(packages: Path) -> dict[str, str]:
    """Path below site-packages -> sha256 in hex, of every installed wheel."""
    found = {}
    for file in packages.glob("*.dist-info/RECORD"):
        with file.open(encoding="utf-8", newline="") as lines:
            for name, digest, *_ in (row for row in csv.reader(lines) if len(row) > 1):
                if digest.startswith("sha256="):
                    raw = digest[len("sha256=") :]
                    found[name] = base64.urlsafe_b64decode(raw + "=" * (-len(raw) % 4)).hex()
    return found


def hashed(path: Path, algorithm: str) -> str:
    """Hex digest of a file."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def printable(text: str) -> str:
    """A name cannot drive the terminal that shows it."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def main(argv: list[str] | None = None) -> int:
    """Tell every finding."""
    kinds = {kind for kind, *_ in (*PLACES, *FORMS)}
    parser = argparse.ArgumentParser(description="Secrets in a file system: kind and path.")
    parser.add_argument(
        "--goes", default="", help=f"kinds to leave out: {', '.join(sorted(kinds))}"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("root", nargs="?", default="/", type=Path)
    given = parser.parse_args(argv)
    goes = {kind for kind in given.goes.split(",") if kind}
    if goes - kinds:
        parser.error(f"no such kind: {', '.join(sorted(goes - kinds))}")
    if not given.root.is_dir():
        parser.error(f"{given.root} is not a directory")
    found = [finding for finding in scan(given.root) if finding.kind not in goes]
    if given.json:
        told = [{"kind": kind, "path": path} for kind, path in found]
        report = {"schema": "gpuctl.scan/1", "ok": not found, "findings": told}
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    else:
        for kind, path in found:
            sys.stderr.write(f"{kind:<12}  /{printable(path)}\n")
        if found:
            sys.stderr.write(f"{len(found)} would be in the image: remove them, build again\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
