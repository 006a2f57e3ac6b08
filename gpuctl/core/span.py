"""Time: aware UTC moments, half-open spans, and the months that bills are cut into."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

_RFC3339 = r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.\d+)?([Zz]|[+-]\d\d:\d\d)\Z"
_DATE = r"(\d{4})-(\d\d)-(\d\d)\Z"
_MONTH = r"(\d{4})-(\d\d)\Z"
_PLAIN = len("2025-03-10T14:05:30Z")
_DURATION = r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?\Z"


class _Ends(NamedTuple):
    start: datetime
    end: datetime


class Span(_Ends):
    """[start, end) in UTC, both aware, whole seconds. ValueError for any other."""

    __slots__ = ()

    def __new__(cls, start: datetime, end: datetime) -> "Span":
        """Refuse what is no span."""
        if start.tzinfo is None or end.tzinfo is None:
            raise ValueError("a span needs aware times")
        if end < start:
            raise ValueError(f"a span cannot end ({end}) before it starts ({start})")
        return super().__new__(cls, start, end)

    @property
    def seconds(self) -> int:
        """Whole seconds in the span."""
        return seconds_between(self.start, self.end)

    def meet(self, other: "Span") -> "Span | None":
        """What both have in common, or None."""
        start, end = max(self.start, other.start), min(self.end, other.end)
        return Span(start, end) if start < end else None

    def __contains__(self, moment: object) -> bool:
        return isinstance(moment, datetime) and self.start <= moment < self.end


def seconds_between(start: datetime, end: datetime) -> int:
    """Whole seconds from start to end; both have whole seconds by construction."""
    delta = end - start
    return delta.days * 86_400 + delta.seconds


def utc(moment: datetime) -> datetime:
    """An aware time in UTC, fractions of a second truncated. ValueError when naive."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no time zone")
    return moment.astimezone(UTC).replace(microsecond=0)


def parse_time(text: str) -> datetime:
    """RFC 3339 with `Z` or an offset -> UTC, fractions truncated. ValueError says what is wrong."""
    if _is_plain(text):
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            pass  # it is told below what is wrong
    match = re.match(_RFC3339, text, re.ASCII)
    if match is None:
        if re.match(_RFC3339, text + "Z", re.ASCII):
            raise ValueError(f"{text!r} has no time zone: add Z or an offset")
        raise ValueError(f"{text!r} is not an RFC 3339 time such as 2025-03-10T14:05:30Z")
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    zone = match.group(7)
    offset = timedelta()
    if zone not in "Zz":
        sign = 1 if zone[0] == "+" else -1
        offset = sign * timedelta(hours=int(zone[1:3]), minutes=int(zone[4:6]))
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC) - offset
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text!r} is not a time: {error}") from None


def _is_plain(text: str) -> bool:
    """Whether it has the signs of 2025-03-10T14:05:30Z in their places, as ledgers write times."""
    return (
        len(text) == _PLAIN
        and text[4] == text[7] == "-"
        and text[10] == "T"
        and text[13] == text[16] == ":"
        and text[19] == "Z"
        # The one hour too many that some versions of Python read.
        and text[11:13] != "24"
    )


def parse_moment(text: str) -> datetime:
    """A date (00:00Z) or an RFC 3339 time, as the command line takes them."""
    match = re.match(_DATE, text, re.ASCII)
    if match is None:
        try:
            return parse_time(text)
        except ValueError as error:
            raise ValueError(f"{error}, or a date such as 2025-03-10") from None
    try:
        year, month, day = (int(part) for part in match.groups())
        return datetime(year, month, day, tzinfo=UTC)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a date: {error}") from None


def format_time(moment: datetime) -> str:
    """RFC 3339 in UTC with `Z`."""
    return utc(moment).replace(tzinfo=None).isoformat() + "Z"


def parse_duration(text: str) -> timedelta:
    """`8h`, `30m`, `1h30m`, `2d`, `90s` -> a positive duration. ValueError otherwise."""
    match = re.match(_DURATION, text.strip().lower(), re.ASCII)
    if not text.strip() or match is None:
        raise ValueError(f"{text!r} is not a duration such as 8h, 30m, 1h30m or 2d")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    try:
        duration = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError:
        raise ValueError(f"{text!r} is too long a duration") from None
    if duration <= timedelta():
        raise ValueError(f"{text!r} is no time at all")
    return duration


def format_duration(duration: timedelta) -> str:
    """`2d3h`, `8h`, `1h30m`, `45m`, `20s`: the two largest parts."""
    left = int(duration.total_seconds())
    if left <= 0:
        return "0s"
    parts = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
        elif parts:
            break
    return "".join(parts[:2])


class Month(NamedTuple):
    """A calendar month, without a zone: `Month.span(zone)` gives its instants."""

    year: int
    month: int

    @classmethod
    def parse(cls, text: str) -> "Month":
        """`2025-03` -> Month; ValueError otherwise."""
        match = re.match(_MONTH, text, re.ASCII)
        if match is None or not 1 <= int(match.group(2)) <= 12:  # noqa: PLR2004 - months
            raise ValueError(f"{text!r} is not a month such as 2025-03")
        return cls(int(match.group(1)), int(match.group(2)))

    @classmethod
    def of(cls, moment: datetime, zone: ZoneInfo) -> "Month":
        """The month that `moment` falls in, by the clocks of `zone`."""
        local = moment.astimezone(zone)
        return cls(local.year, local.month)

    def next(self) -> "Month":
        """The month after."""
        return Month(self.year + self.month // 12, self.month % 12 + 1)

    def previous(self) -> "Month":
        """The month before."""
        return Month(self.year - (self.month == 1), (self.month - 2) % 12 + 1)

    def span(self, zone: ZoneInfo) -> Span:
        """Its instants: 721 hours in Los Angeles for November 2025, where clocks go back."""
        after = self.next()
        start = datetime(self.year, self.month, 1, tzinfo=zone)
        end = datetime(after.year, after.month, 1, tzinfo=zone)
        return Span(start.astimezone(UTC), end.astimezone(UTC))

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.month:02d}"


def day_span(day: date, zone: ZoneInfo) -> Span:
    """The instants of a calendar day by the clocks of `zone`: 23 to 25 hours."""
    after = day + timedelta(days=1)
    start = datetime(day.year, day.month, day.day, tzinfo=zone)
    end = datetime(after.year, after.month, after.day, tzinfo=zone)
    return Span(start.astimezone(UTC), end.astimezone(UTC))
