"""Bills that a client could read: the test's docstring is the ledger, and what each one pays."""

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

from gpuctl.core.bill import bill, fixed
from gpuctl.core.events import Adjust, Price, Settle, Split, Switch, Usage
from gpuctl.core.kinds import EndedBy, Kind, Market
from gpuctl.core.rounding import decimal_text
from gpuctl.core.rules import billing_zone, rule_for
from gpuctl.core.span import Span, day_span

EVER = fixed(Span(datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)))
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
NAMES = {"nobody": None, "-": None}


def ledger(test):
    """Hold a test to its docstring, then give it the events and the charges.

        03-10 09:00      price aws/us-east-1/us-east-1a compute p3.2xlarge spot 0.918
        03-10 14:05:30   open i-1 aws/us-east-1/us-east-1a compute p3.2xlarge spot x1 acme/vision
        03-10 14:35      switch i-1 borealis/nlp
        03-10 14:35      split i-1 03-10 15:00 acme/vision=2 borealis/nlp=1 idle=1 absorbed
        03-10 15:05:30   close i-1 user
        03-10 16:00      adjust acme/vision -1.20
        = acme/vision 0.459

    Times are UTC in 2025; `=` lines are exact to 10 decimals, complete; `idle` is nobody's part.
    """

    def run():
        events, owed = read(test.__doc__)
        charges = bill(events, EVER, NOW).charges
        assert paid(charges) == owed
        if test.__code__.co_argcount:
            test(events, charges)

    run.__name__, run.__doc__, run.__module__ = test.__name__, test.__doc__, test.__module__
    return run


def paid(charges):
    """Exact cost by payer, printed to 10 decimals; `?` where a price is missing."""
    sums = {}
    for charge in charges:
        name = "idle" if charge.absorbed else charge.project or "nobody"
        cost = None if charge.cost is None or sums.get(name, 0) is None else charge.cost
        sums[name] = None if cost is None else sums.get(name, Fraction(0)) + cost
    return {name: "?" if cost is None else decimal_text(cost, 10) for name, cost in sums.items()}


def read(text):
    """The docstring's events, and what is owed by whom."""
    events, owed = {}, {}
    for number, line in enumerate(text.splitlines()):
        words = line.split()
        if words[:1] == ["="]:
            owed[words[1]] = words[2]
        elif len(words) > 2 and words[0][:1].isdigit():
            event = _event(number, at(words[0], words[1]), words[2], words[3:], events)
            events[event.id] = event
    return list(events.values()), owed


def at(day, clock):
    """`03-10` or `2024-03-10`, and `14:05` or `14:05:30`."""
    day = day if len(day) > 5 else f"2025-{day}"
    return datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=UTC)


def _event(number, when, verb, words, events):
    match verb, words:
        case "price", [place, kind, sku, market, usd]:
            provider, region, zone = _place(place)
            return Price(
                id=f"p{number}", provider=provider, region=region, zone=zone, kind=Kind(kind),
                sku=sku, market=Market(market), unit=rule_for(provider, Kind(kind)).unit,
                usd=Decimal(usd), since=when,
            )  # fmt: skip
        case "open", [resource, place, kind, sku, market, size, project]:
            provider, region, zone = _place(place)
            return Usage(
                id=f"u{number}", provider=provider, account="1", region=region, zone=zone,
                resource=resource, kind=Kind(kind), sku=sku, market=Market(market),
                quantity=Decimal(size.removeprefix("x")), start=when, end=None, ended_by=None,
                project=NAMES.get(project, project),
            )  # fmt: skip
        case "close", [resource, by]:
            run = next(e for e in events.values() if _runs(e, resource))
            fields = {name: getattr(run, name) for name in run._fields}
            return Usage(**fields | {"end": when, "ended_by": EndedBy(by)})
        case "switch", [resource, project]:
            return Switch(
                id=f"s{number}", resource=resource, project=NAMES.get(project, project), at=when
            )
        case "split", [resource, day, clock, *shares]:
            parts = dict(share.split("=") for share in shares if "=" in share)
            idle = Decimal(parts.pop("idle", "0"))
            return Split(
                id=f"x{number}", resource=resource, since=when, until=at(day, clock), idle=idle,
                shares={name: Decimal(part) for name, part in parts.items()},
                idle_absorbed="absorbed" in shares,
            )  # fmt: skip
        case "adjust", [project, usd]:
            return Adjust(
                id=f"a{number}", project=NAMES.get(project, project), at=when, usd=Decimal(usd),
                note="by hand",
            )  # fmt: skip
        case "settle", [resource, provider, kind, day, billed]:
            stretch = day_span(at(day, "00:00").date(), billing_zone(provider))
            return Settle(
                id=f"b{number}", provider=provider, account="1", resource=resource,
                kind=Kind(kind), since=stretch.start, until=stretch.end, billed=Decimal(billed),
                at=when, source="bill",
            )  # fmt: skip
    raise AssertionError(f"not a line of a ledger: {verb} {words}")


def _place(text):
    provider, *rest = text.split("/")
    return provider, *[*rest, None, None][:2]


def _runs(event, resource):
    return isinstance(event, Usage) and event.resource == resource and event.end is None
