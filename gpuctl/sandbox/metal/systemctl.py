"""The words of `systemctl` and `systemd-run`, answered from a machine's own service manager."""

import itertools
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gpuctl.sandbox.metal.systemd import Systemd
from gpuctl.sandbox.metal.units import Unit, UnitProblem

_POWER = ("poweroff", "halt", "reboot", "kexec")
_WITH_VALUE = frozenset(("-p", "-P", "-n", "-o", "-t", "-s", "--property", "--lines", "--output"))
_TIMER_KEYS = {
    "--on-active": "OnActiveSec",
    "--on-boot": "OnBootSec",
    "--on-startup": "OnStartupSec",
    "--on-unit-active": "OnUnitActiveSec",
    "--on-unit-inactive": "OnUnitInactiveSec",
    "--on-calendar": "OnCalendar",
}
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a shim prints and exits with; `become` = the command it turns into instead."""

    out: str = ""
    err: str = ""
    code: int = 0
    become: tuple[str, ...] = ()


def systemctl(systemd: Systemd, argv: Sequence[str]) -> Answer:
    """Answer one `systemctl …`; never raises for what a user may type."""
    options, words = _split(argv)
    verb, names = (words[0], [_full(name) for name in words[1:]]) if words else ("list-units", [])
    if verb in _POWER or (verb in ("start", "isolate") and "poweroff.target" in names):
        return power(systemd, verb)
    try:
        if verb in _TELL:
            return _TELL[verb](systemd, options, names)
        if verb in _DO:
            for name in names:
                _DO[verb](systemd, options, name)
            return Answer()
    except UnitProblem as problem:
        return Answer(err=f"Failed to {verb} {' '.join(names)}: {problem}\n", code=problem.code)
    return Answer(err=f"Unknown command verb '{verb}' (in the sandbox).\n", code=1)


def power(systemd: Systemd, verb: str) -> Answer:
    """Power off, soon after this returns. Other ends of a machine are not emulated."""
    if verb in ("reboot", "halt", "kexec"):
        return Answer(err=f"sandbox: {verb} is not emulated: use poweroff\n", code=1)
    systemd.power_off()
    return Answer()


def systemd_run(systemd: Systemd, argv: Sequence[str]) -> Answer:
    """Answer one `systemd-run …`: a transient service, or a timer that starts one."""
    options, words = _split(argv, stop_at_word=True)
    if not words and "--unit" not in options:
        return Answer(err="systemd-run: a command line is needed\n", code=1)
    if {"--scope", "--wait", "--pty", "-t", "--pipe", "-P"} & options.keys():
        return Answer(become=tuple(words))
    given = options.get("--unit", [""])[-1]
    stem = given.removesuffix(".service").removesuffix(".timer") or f"run-u{next(_numbers)}"
    timing = {_TIMER_KEYS[key]: tuple(options[key]) for key in options if key in _TIMER_KEYS}
    service = Unit(f"{stem}.service", {"Unit": {}, "Service": _service_section(options, words)})
    try:
        if words:
            systemd.add(service)
        if timing:
            systemd.add(Unit(f"{stem}.timer", {"Timer": timing}))
        started = f"{stem}.timer" if timing else f"{stem}.service"
        systemd.start(started)
    except UnitProblem as problem:
        return Answer(err=f"{problem}\n", code=problem.code)
    return Answer(err=f"Running {'timer' if timing else ''} as unit: {started}\n")


def _service_section(
    options: dict[str, list[str]], words: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    section: dict[str, tuple[str, ...]] = {
        # Every word is literal: a transient unit's command line is not expanded again.
        "ExecStart": (shlex.join(word.replace("%", "%%").replace("$", "$$") for word in words),),
        "Environment": tuple(
            shlex.quote(pair) for pair in options.get("--setenv", []) + options.get("-E", [])
        ),
    }
    for pair in options.get("--property", []) + options.get("-p", []):
        key, _, value = pair.partition("=")
        section[key] = (*section.get(key, ()), value)
    return section


def _start(systemd: Systemd, options: dict[str, list[str]], name: str) -> None:
    systemd.start(name, wait="--no-block" not in options)


def _restart(systemd: Systemd, options: dict[str, list[str]], name: str) -> None:
    systemd.stop(name)
    _start(systemd, options, name)


def _stop(systemd: Systemd, options: dict[str, list[str]], name: str) -> None:  # noqa: ARG001
    systemd.stop(name)


def _enable(systemd: Systemd, options: dict[str, list[str]], name: str) -> None:
    systemd.enable(name)
    if "--now" in options:
        _start(systemd, options, name)


def _disable(systemd: Systemd, options: dict[str, list[str]], name: str) -> None:
    systemd.disable(name)
    if "--now" in options:
        systemd.stop(name)


def _nothing(systemd: Systemd, options: dict[str, list[str]], name: str) -> None:
    """Words that change nothing a machine of the sandbox has."""


def _is_active(systemd: Systemd, options: dict[str, list[str]], names: Sequence[str]) -> Answer:
    states = [systemd.state(name) for name in names]
    out = "" if {"-q", "--quiet"} & options.keys() else "".join(f"{state}\n" for state in states)
    return Answer(out=out, code=0 if "active" in states else 3)


def _is_enabled(systemd: Systemd, options: dict[str, list[str]], names: Sequence[str]) -> Answer:
    for name in names:
        systemd.load(name)
    states = ["enabled" if systemd.enabled(name) else "disabled" for name in names]
    out = "" if {"-q", "--quiet"} & options.keys() else "".join(f"{state}\n" for state in states)
    return Answer(out=out, code=0 if "enabled" in states else 1)


def _is_failed(systemd: Systemd, options: dict[str, list[str]], names: Sequence[str]) -> Answer:
    states = [systemd.state(name) for name in names]
    out = "" if {"-q", "--quiet"} & options.keys() else "".join(f"{state}\n" for state in states)
    return Answer(out=out, code=0 if "failed" in states else 1)


def _is_running(systemd: Systemd, options: dict[str, list[str]], names: Sequence[str]) -> Answer:
    del systemd, options, names
    return Answer(out="running\n")


def _show(systemd: Systemd, options: dict[str, list[str]], names: Sequence[str]) -> Answer:
    asked = [
        key
        for values in (options.get("-p", []), options.get("--property", []), options.get("-P", []))
        for value in values
        for key in value.split(",")
    ]
    bare = "--value" in options or "-P" in options
    lines: list[str] = []
    for name in names:
        told = systemd.show(name)
        keys = asked or list(told)
        lines += [told.get(k, "") if bare else f"{k}={told.get(k, '')}" for k in keys]
    return Answer(out="".join(f"{line}\n" for line in lines))


def _status(systemd: Systemd, options: dict[str, list[str]], names: Sequence[str]) -> Answer:
    del options
    for name in names:
        systemd.load(name)
    states = [systemd.state(name) for name in names]
    out = "".join(f"{n}\n   Active: {s}\n" for n, s in zip(names, states, strict=True))
    return Answer(out=out, code=0 if not names or "active" in states else 3)


def _list_timers(systemd: Systemd, options: dict[str, list[str]], names: Sequence[str]) -> Answer:
    del names
    rows = [
        f"{timer.next:%a %Y-%m-%d %H:%M:%S UTC} {timer.unit.name} {timer.service}\n"
        for timer in systemd.timers()
        if timer.next
    ]
    head = "" if "--no-legend" in options else "NEXT UNIT ACTIVATES\n"
    return Answer(out=head + "".join(rows))


_Tell = Callable[[Systemd, dict[str, list[str]], Sequence[str]], Answer]
_Do = Callable[[Systemd, dict[str, list[str]], str], None]

_TELL: dict[str, _Tell] = {
    "is-active": _is_active,
    "is-enabled": _is_enabled,
    "is-failed": _is_failed,
    "is-system-running": _is_running,
    "list-timers": _list_timers,
    "show": _show,
    "status": _status,
}
_DO: dict[str, _Do] = {
    "start": _start,
    "restart": _restart,
    "try-restart": _restart,
    "reload-or-restart": _restart,
    "stop": _stop,
    "kill": _stop,
    "enable": _enable,
    "reenable": _enable,
    "disable": _disable,
    "daemon-reload": _nothing,
    "daemon-reexec": _nothing,
    "reset-failed": _nothing,
    "mask": _nothing,
    "unmask": _nothing,
    "preset": _nothing,
    "set-property": _nothing,
}


def _split(
    argv: Sequence[str], *, stop_at_word: bool = False
) -> tuple[dict[str, list[str]], list[str]]:
    """Options with their values, and words. systemd-run's options end at its command."""
    options: dict[str, list[str]] = {}
    words: list[str] = []
    taking = _WITH_VALUE if not stop_at_word else frozenset(("-u", "-p", "-E", "-M", "-H"))
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return options, words + rest
        if not word.startswith("-") or word == "-":
            words.append(word)
            if stop_at_word:
                return options, words + rest
            continue
        name, equals, value = word.partition("=")
        if not equals and (name in taking or (stop_at_word and name in _LONG_WITH_VALUE)) and rest:
            value = rest.pop(0)
        options.setdefault("--unit" if name == "-u" else name, []).append(value)
    return options, words


_LONG_WITH_VALUE = frozenset(
    (
        *_TIMER_KEYS,
        "--unit",
        "--property",
        "--setenv",
        "--description",
        "--slice",
        "--uid",
        "--gid",
        "--nice",
        "--working-directory",
        "--timer-property",
        "--service-type",
    )
)


def _full(name: str) -> str:
    known = (".service", ".timer", ".target", ".socket", ".path", ".mount", ".scope", ".slice")
    return name if name.endswith(known) else f"{name}.service"
