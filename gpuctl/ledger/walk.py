"""From the first event to the last: what the chain, the rows and their contents say."""

from gpuctl.core.interchange import RecordError, read_line, type_of
from gpuctl.ledger.chain import GENESIS, link


class Walk:
    """One way through the chain, from the first event to the last."""

    def __init__(self) -> None:
        self.count, self.head = 0, GENESIS
        self.problems: list[str] = []
        self._seq = 0

    def step(self, seq: int, id_: object, kind: object, body: object, digest: object) -> None:
        """Take the next row; a damaged file may hold any type in any column."""
        if seq != self._seq + 1:
            self.problems.append(f"before event {seq} ({id_}) some are missing")
        self.count, self._seq = self.count + 1, seq
        if isinstance(body, str):
            self.head = link(self.head, body)
            self._read(seq, id_, kind, body)
        else:
            self.problems.append(f"event {seq} ({id_}): is no text")
        if digest != self.head:
            self.problems.append(f"event {seq} ({id_}): its hash does not follow from the chain")
            self.head = str(digest)

    def _read(self, seq: int, id_: object, kind: object, body: str) -> None:
        try:
            event = read_line(body)
        except RecordError as error:
            self.problems.append(f"event {seq} ({id_}): {error}")
            return
        if (event.id, type_of(event)) != (id_, kind):
            said = f"{type_of(event)} {event.id}"
            self.problems.append(f"event {seq}: is called {kind} {id_} but says {said}")
