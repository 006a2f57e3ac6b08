"""Beside the waiting for a new machine: have its cloud end it, should its guest hang."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime

from gpuctl.app import App
from gpuctl.core.errors import GpuctlError
from gpuctl.core.model import Machine
from gpuctl.core.ports import CloudRef


@contextmanager
def insured(app: App, ref: CloudRef, machine: Machine, deadline: datetime | None) -> Iterator[None]:
    """While the body waits for the machine, its end is arranged; why not is said, once.

    It costs no round trip before the machine was accepted, and its failure fails nothing: the
    machine has its own timer, which the body waits for.
    """
    if deadline is None:
        yield
        return
    with ThreadPoolExecutor(1) as beside:
        asked = beside.submit(_insure, app, ref, machine, deadline)
        try:
            yield
        finally:
            why = asked.result()
            if why is not None:
                app.progress.note(f"{machine.name}: {why}")


def _insure(app: App, ref: CloudRef, machine: Machine, deadline: datetime) -> str | None:
    try:
        return app.clouds.connect(ref).insure(machine.id, deadline)
    except GpuctlError as error:
        return f"its end could not be arranged with the cloud: {error.message}"
