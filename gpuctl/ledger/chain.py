"""The hash chain: each event's hash covers its content and the hash before it.

A chain shows edits and gaps; it cannot show that its own end was cut off, which is why the head
is printed on every report: a head that was handed out must be found again later.
"""

GENESIS = "0" * 64
"""What the first event's hash is chained to."""


def link(previous: str, body: str) -> str:
    """SHA-256 over the previous hash and the canonical record, as hex."""
    import hashlib  # noqa: PLC0415 - reading a ledger hashes nothing, and OpenSSL loads slowly

    return hashlib.sha256(f"{previous}\n{body}".encode()).hexdigest()
