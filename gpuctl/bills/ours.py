"""What gpuctl itself writes is no bill: the ledger would be compared with the ledger, and agree."""

from gpuctl.bills.tables import Table

_EXPORTS = (
    ("report --format focus", {"xabsorbed", "xbasis", "xkind", "xproject", "xsessionid"}),
    ("report --format csv", {"row", "client", "session", "pricelowusd", "pricehighusd", "ledger"}),
    ("report -o csv", {"client", "billable", "absorbed", "markup", "ownaccount"}),
    ("report -o json", {"schema", "projects", "totalbillable", "ledgerhead"}),
    ("spend -o csv", {"resource", "kind", "sku", "seconds", "rate", "cost", "basis", "endedby"}),
    ("spend -o json", {"schema", "charges", "currency", "total"}),
    ("ledger export", {"v", "type", "id"}),
)
"""Commands, with columns (by `tables.plain`) that no provider's bill has together."""


def written_by(table: Table) -> str | None:
    """The command of gpuctl that writes such a file; None = another's."""
    there = table.columns.keys()
    return next((command for command, columns in _EXPORTS if columns <= there), None)
