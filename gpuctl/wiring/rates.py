"""Where exchange rates come from: the command line, a file of the ECB's, or the ECB."""

import re
from collections.abc import Callable, Mapping
from datetime import date
from fractions import Fraction
from pathlib import Path

from gpuctl.config.paths import Paths
from gpuctl.core.errors import UsageProblem
from gpuctl.core.ports import Clock
from gpuctl.core.statements_facts import Rate

_GIVEN = r"([0-9]{1,9}(?:\.[0-9]{1,12})?)(?:/([0-9]{1,9}(?:\.[0-9]{1,12})?))?"


def rates(
    environ: Mapping[str, str],
    paths: Paths,
    clock: Clock,
    *,
    given: str | None = None,
    file: Path | None = None,
) -> Callable[[str, date], Rate]:
    """(currency, day) -> the rate. `given` is units for one USD: `0.92`, or `1/1.0842`."""
    if given is not None and file is not None:
        raise UsageProblem("--rate and --rates both say what a dollar was worth: name one")
    if given is not None:
        return _Agreed(given).rate
    if file is not None:
        from gpuctl.bills.ecb import from_file

        return lambda currency, day: from_file(file, currency, day)
    from gpuctl.bills.ecb_kept import Ecb, fetch

    # The sandbox never leaves this computer.
    get = None if environ.get("GPUCTL_SANDBOX") else fetch
    return Ecb(paths.cache / "ecb", clock, get).rate


class _Agreed:
    """A rate that was agreed: for one currency, whichever is asked for first."""

    def __init__(self, text: str) -> None:
        match = re.fullmatch(_GIVEN, text, re.ASCII)
        parts = [Fraction(part) for part in match.groups() if part] if match else []
        if not parts or not all(parts):
            raise UsageProblem(
                f"--rate {text!r} is no rate: it is the client's currency for one USD",
                hint="--rate 0.92, or --rate 1/1.0842",
            )
        self._per_usd = parts[0] if len(parts) == 1 else parts[0] / parts[1]
        self._text = text
        self._currency: str | None = None

    def rate(self, currency: str, day: date) -> Rate:
        """The rate, whatever the day. UsageProblem for a second currency."""
        self._currency = self._currency or currency
        if currency != self._currency:
            raise UsageProblem(
                f"--rate {self._text} cannot be both {self._currency} and {currency} for one USD",
                hint="--client NAME, or --rates FILE",
            )
        one, _, other = self._text.partition("/")
        quoted = f"{one} {currency} = {other} USD" if other else f"1 USD = {one} {currency}"
        return Rate(
            currency=currency, per_usd=self._per_usd, day=day, source="agreed", quoted=quoted
        )
