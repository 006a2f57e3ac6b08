"""`quote --format`, `--out`: the quote as a file."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gpuctl.cli.session import Session
from gpuctl.core.errors import UsageProblem

if TYPE_CHECKING:
    from gpuctl.core.quoting.quote import Quote


def send(session: Session, made: "Quote", form: str, out: Path | None) -> int:
    """Draw it, to stdout or into a file; a PDF goes to stdout only with `--out -`."""
    from gpuctl.cli.documents import write

    if form in ("html", "pdf"):
        from gpuctl.documents.quotes import draw

        if not made.billed:
            raise UsageProblem(
                f"nothing of {made.project} is billed: there is no price to send to a client",
                hint="gpuctl quote without --format",
            )
        data = draw(made, form)
    else:
        data = _plain(session, made)
        form = {"json": "json", "csv": "csv"}.get(session.output, "txt")
    if out is None and form == "pdf":
        out = Path(f"{made.project.replace('/', '-')}-quote-{made.at:%Y-%m-%d}.pdf")
    if out is None or str(out) == "-":
        click.echo(data, nl=False)
    else:
        write(session, out, data)
    return 0


def _plain(session: Session, made: "Quote") -> bytes:
    from gpuctl.cli.quote import text
    from gpuctl.cli.render import as_csv
    from gpuctl.core.quoting.quote import quote_shape

    match session.output:
        case "json":
            shape = {"schema": "gpuctl.quote/1", **quote_shape(made)}
            return (json.dumps(shape, indent=2, ensure_ascii=False) + "\n").encode()
        case "csv":
            return as_csv([quote_shape(made)]).encode()
        case _:
            return "".join(f"{line}\n" for line in text(made)).encode()
