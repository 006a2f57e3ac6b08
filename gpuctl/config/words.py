"""The forms of text that several keys share: names, types, regions, zones, addresses."""

from gpuctl.config.model import MY_IP
from gpuctl.config.shapes import Checked, Count, Text, Wrong
from gpuctl.core.names import project_name, user_name

NAME = Text("[a-z0-9][a-z0-9-]{0,29}", word="name: 1 to 30 of a-z, 0-9 and -, not starting with -")
VM = Text(
    "[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?",
    word="VM name: 1 to 63 of a-z, 0-9 and -, starting with a letter",
)
TEXT = Text()
LINE = Text(r"[^\n]*[^\s][^\n]*", word="text of one line")
WORD = Text(r"\S+", word="text without spaces")
PROJECT = Checked(
    project_name,
    "[a-z0-9][a-z0-9-]{0,29}/[a-z0-9][a-z0-9-]{0,29}",
    word='project name such as "acme/vision"',
)
LOGIN = Checked(user_name, "[a-z_][a-z0-9_-]{0,31}", word="login name")
TYPE = Text("[a-z0-9][a-z0-9.-]*", word='machine type such as "g6.xlarge"')
REGION = Text(r"[a-z]+(?:-[a-z]+)+-?\d+", word='region such as "us-east-2" or "us-central1"')
ZONE = Text(
    r"[a-z]+(?:-[a-z]+)+-?\d+(?:[a-z]|-[a-z0-9-]+)",
    word='zone such as "us-east-2a" or "us-central1-a"',
)
CURRENCY = Text("[A-Z]{3}", word="currency code of three capitals such as EUR", like="EUR")
ROLE = Text(r"arn:aws[a-z-]*:iam::\d{12}:role/\S+", word='role such as "arn:aws:iam::…:role/…"')
GCP_PROJECT = Text(
    "[a-z][a-z0-9.:-]{4,61}[a-z0-9]", word='Google project id such as "freelance-ml"'
)
GB = Count(1, 64_000)


class Source(Text):
    """Who may reach a machine: `my-ip` or addresses with a prefix."""

    def __init__(self) -> None:
        super().__init__(
            rf"{MY_IP}|[0-9a-fA-F.:]+/\d{{1,3}}", word='"my-ip" or a CIDR such as "192.0.2.7/32"'
        )

    def read(self, value: object) -> str:
        """The text itself; the whole internet is refused."""
        text = LINE.read(value)
        if text == MY_IP:
            return text
        import ipaddress  # noqa: PLC0415 - slow to load, and seldom needed

        try:
            network = ipaddress.ip_network(text)
        except ValueError as error:
            raise Wrong(f"{text!r} is not {MY_IP} or a CIDR: {error}", MY_IP) from None
        if network.prefixlen == 0:
            raise Wrong(f"{text!r} lets the whole internet in", MY_IP)
        return str(network)
