"""Imports the few services that are used, not all 127 of `google.cloud.compute_v1`.

The package's own `__init__` imports every service, which takes seconds. So an unrun module of
the very same package is put in its place: its submodules import as usual, and whoever asks it
for any other name (another user of the library in this process) makes it run its own
`__init__` first. Should the library ever change so that this fails, the plain import is used.
"""

import gc
import importlib
import importlib.util
import logging
import sys
import threading
from types import ModuleType
from typing import Any

PACKAGE = "google.cloud.compute_v1"

_log = logging.getLogger(__name__)
_lock = threading.RLock()


def service(name: str) -> ModuleType:
    """The module of one service, such as `instances`."""
    return _module(f"services.{name}")


def messages() -> ModuleType:
    """The module with all request and resource messages."""
    return _module("types.compute")


def _module(name: str) -> ModuleType:
    with _lock:
        loaded = sys.modules.get(f"{PACKAGE}.{name}")
        if loaded is not None:
            return loaded
        collecting = gc.isenabled()
        gc.disable()  # the messages are 160,000 lines of objects that all stay
        try:
            return _import(name)
        finally:
            if collecting:
                gc.enable()


def _import(name: str) -> ModuleType:
    if PACKAGE not in sys.modules:
        try:
            _put_unrun_package()
            return importlib.import_module(f"{PACKAGE}.{name}")
        except Exception as error:  # noqa: BLE001 - whatever it is, the plain way is left
            _log.info("importing all of %s: %s", PACKAGE, error)
            for module in [m for m in sys.modules if m.startswith(PACKAGE)]:
                del sys.modules[module]
    return importlib.import_module(f"{PACKAGE}.{name}")


def _put_unrun_package() -> None:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(PACKAGE)
    loader = spec.loader
    package = importlib.util.module_from_spec(spec)
    running = False

    def attribute(name: str) -> Any:
        nonlocal running
        if not name.startswith("__") and importlib.util.find_spec(f"{PACKAGE}.{name}"):
            return importlib.import_module(f"{PACKAGE}.{name}")
        with _lock:
            if name.startswith("__") or running:
                raise AttributeError(f"module {PACKAGE!r} has no attribute {name!r}")
            running = True
            loader.exec_module(package)
        try:
            return vars(package)[name]
        except KeyError:
            raise AttributeError(f"module {PACKAGE!r} has no attribute {name!r}") from None

    vars(package)["__getattr__"] = attribute
    sys.modules[PACKAGE] = package
    parent, _, last = PACKAGE.rpartition(".")
    setattr(importlib.import_module(parent), last, package)
