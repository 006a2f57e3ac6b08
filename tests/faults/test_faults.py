"""The reduced sweep: the real program, killed, cut off and crowded, judged by the clouds' truth.

It runs in processes of its own: an emulated AWS is global to its process. `make faults` sweeps all.
"""

import base64
import gzip
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest

from tests.faults import guard, table
from tests.faults.__main__ import ROWS
from tests.faults.cases import Row
from tests.faults.proxy import Call

ROOT = Path(__file__).parents[2]
FEWEST = {
    "kills": 140,
    "double": 10,
    "errors": 14,
    "disks": 60,
    "names": 38,
    "agent": 16,
    "mutants": 10,
}
ALONE = "kills"
"""About half of all the work: swept beside the rest, on another core."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1000)]


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    others = [word for row in ROWS if row.name != ALONE for word in ("--row", row.name)]
    sweeps = [
        (
            folder / f"{number}.json",
            subprocess.Popen(
                [
                    *(sys.executable, "-m", "tests.faults", "--quick", *rows),
                    *("--report", str(folder / f"{number}.json")),
                ],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            ),
        )
        for number, rows in enumerate((["--row", ALONE], others))
    ]
    said = [sweep.communicate(timeout=900)[0] for _, sweep in sweeps]
    assert all(report.exists() for report, _ in sweeps), said
    return {
        name: told for report, _ in sweeps for name, told in json.loads(report.read_text()).items()
    }


@pytest.mark.parametrize("row", [row.name for row in ROWS])
def test_the_promise_is_kept(swept, row):
    assert swept[row]["broken"] == []
    assert swept[row]["cases"] >= FEWEST.get(row, 1)


def _hidden(secret: str) -> str:
    return urlencode(
        {"UserData": base64.b64encode(gzip.compress(secret.encode(), mtime=0)).decode()}
    )


_RULE = "IpPermissions.1.IpRanges.1.CidrIp"
_ILL = (
    ("aws", "RunInstances", _hidden(guard.SECRETS["HF_TOKEN"]), "HF_TOKEN is sent"),
    ("aws", "RunInstances", "BlockDeviceMapping.1.Ebs.Encrypted=false", "an open disk"),
    ("aws", "RunInstances", "MetadataOptions.HttpTokens=optional", "without IMDSv2"),
    ("aws", "AuthorizeSecurityGroupIngress", urlencode({_RULE: "0.0.0.0/0"}), "open to the world"),
    ("aws", "AuthorizeSecurityGroupIngress", urlencode({_RULE: "::/0"}), "open to the world"),
    ("aws", "ModifyInstanceAttribute", "", "beyond the published rights"),
    ("gcp", "firewalls.insert", '{"name": "x"}', "without a source"),
    ("gcp", "firewalls.patch", '{"sourceRanges": ["0.0.0.0/0"]}', "open to the world"),
    ("gcp", "instances.setServiceAccount", "{}", "beyond the published rights"),
)


@pytest.mark.parametrize(("cloud", "action", "body", "wrong"), _ILL)
def test_the_guard_sees_what_it_is_there_for(cloud, action, body, wrong):
    day = guard.Day(SimpleNamespace(cloud=cloud), [(Call(cloud, action, 0), body)])
    assert any(wrong in found for found in day._asked())


def test_the_table_keeps_what_was_not_swept_again(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"# Page\n{table.BEGIN}\n{table.END}\nend\n")
    rows = [Row(name, "what", "promise", 1, lambda *_: iter(())) for name in ("one", "two")]
    table.write(rows, {"one": table.Told(1_200, 0, "then"), "two": table.Told(3, 1, "then")}, page)
    table.write(rows, {"two": table.Told(4, 0, "now")}, page)
    text = page.read_text()
    assert "| `one` | what | promise | 1,200 | 0 | then |" in text
    assert "| `two` | what | promise | 4 | 0 | now |" in text
    assert text.startswith("# Page\n")
    assert text.endswith("\nend\n")


def test_the_page_has_a_row_for_each_sweep():
    text = table.PAGE.read_text()
    assert [row.name for row in ROWS if f"| `{row.name}` |" not in text] == []
