"""Machines by name for every program that reads ssh_config: ssh, scp, git, VS Code."""

import re
from collections.abc import Sequence
from pathlib import Path

from gpuctl.remote import files
from gpuctl.remote.target import Target, quoted

_HEADER = "# Written by gpuctl; changes here are lost.\n"
_BLOCK = re.compile(r"^Host (\S+)\n(?:(?!Host ).*\n)*", re.MULTILINE)
_KEY = re.compile(r"(?:ssh-[a-z0-9-]+|ecdsa-[a-z0-9-]+|sk-[a-z0-9@.-]+) [A-Za-z0-9+/]+={0,3}\Z")


def write(config: Path, target: Target) -> None:
    """Add or replace the entry of `target.alias`; the file is gpuctl's own, 0600."""
    entry = f"Host {target.alias}\n"
    entry += "".join(f"    {name} {value}\n" for name, value in target.options())

    def put(text: str) -> str:
        return _HEADER + "".join(_others(text, target.alias)) + entry

    files.change(config, put)


def remove(config: Path, alias: str) -> bool:
    """Take the entry out; whether there was one."""
    if not config.exists():
        return False

    def drop(text: str) -> str:
        return _HEADER + "".join(_others(text, alias)) if alias in _aliases(text) else text

    return files.change(config, drop)


def aliases(config: Path) -> tuple[str, ...]:
    """The names that have an entry, in the file's order."""
    return _aliases(files.read(config))


def include_line(config: Path) -> str:
    """What `~/.ssh/config` needs as its first line."""
    return f"Include {quoted(config).replace('%%', '%')}"


def install(user_config: Path, config: Path) -> bool:
    """Put the Include line on top of the user's file, once; whether it was not there yet.

    Below a Host block it would hold for that host only, so it goes first.
    """
    line = include_line(config)

    def add(text: str) -> str:
        return text if line in text.splitlines() else f"{line}\n\n{text}" if text else f"{line}\n"

    return files.change(user_config, add, _mode(user_config), beside=config)


def uninstall(user_config: Path, config: Path) -> bool:
    """Take it out again, leaving the rest as the user wrote it; whether it was there."""
    if not user_config.exists():
        return False
    line = re.escape(include_line(config))

    def drop(text: str) -> str:
        return re.sub(rf"^{line}\n\n?", "", text, count=1, flags=re.MULTILINE)

    return files.change(user_config, drop, _mode(user_config), beside=config)


def pin(known_hosts: Path, alias: str, keys: Sequence[str]) -> None:
    """From now on `alias` is known by exactly these public keys (`ssh-ed25519 AAAA…`).

    A comment after the key is dropped; ValueError for what is no key, or for none at all.
    """
    lines = [" ".join(key.split()[:2]) for key in keys]
    if not lines or not all(_KEY.match(line) for line in lines):
        raise ValueError(f"not public host keys: {list(keys)!r}")

    def put(text: str) -> str:
        return _without(text, alias) + "".join(f"{alias} {line}\n" for line in lines)

    files.change(known_hosts, put)


def forget(known_hosts: Path, alias: str) -> bool:
    """The machine is gone: its keys too; whether there were any."""
    if not known_hosts.exists():
        return False
    return files.change(known_hosts, lambda text: _without(text, alias))


def pinned(known_hosts: Path, alias: str) -> bool:
    """Whether any key is known for it."""
    text = files.read(known_hosts)
    return _without(text, alias) != text


def _aliases(text: str) -> tuple[str, ...]:
    return tuple(match.group(1) for match in _BLOCK.finditer(text))


def _others(text: str, alias: str) -> list[str]:
    return [match.group(0) for match in _BLOCK.finditer(text) if match.group(1) != alias]


def _without(text: str, alias: str) -> str:
    lines = [line for line in text.splitlines() if line.split(" ", 1)[0] != alias]
    return "".join(f"{line}\n" for line in lines)


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777 if path.exists() else files.PRIVATE_FILE
