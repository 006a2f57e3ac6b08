"""Names that cross into commands, tags and labels: one grammar each, checked once."""

import re
from datetime import UTC, datetime

_PROJECT = r"[a-z0-9][a-z0-9-]{0,29}/[a-z0-9][a-z0-9-]{0,29}\Z"
_LABEL = r"[a-z](?:[a-z0-9-]*[a-z0-9])?\Z"
_JOB = r"[a-z0-9][a-z0-9-]{0,62}\Z"
_USER = r"[a-z_][a-z0-9_-]{0,31}\Z"


def project_name(text: str) -> str:
    """`client/project`, or ValueError with the grammar."""
    if not re.match(_PROJECT, text):
        raise ValueError(
            f"{text!r} is not a project name: it is client/project, "
            "each 1 to 30 of a-z, 0-9 and -, not starting with -"
        )
    return text


def machine_name(text: str) -> str:
    """A machine's name, also a legal Google instance name and ssh Host, or ValueError."""
    return _label(text, "a machine name", 40)


def given_name(text: str) -> str:
    """The name of a VM that gpuctl did not name, as long as Google lets it be; or ValueError."""
    return _label(text, "the name of a machine", 63)


def _label(text: str, what: str, longest: int) -> str:
    if len(text) > longest or not re.match(_LABEL, text):
        raise ValueError(
            f"{text!r} is not {what}: 1 to {longest} of a-z, 0-9 and -, "
            "starting with a letter, not ending with -"
        )
    return text


def job_name(text: str) -> str:
    """What a job is called on its machine, or ValueError."""
    if not re.match(_JOB, text):
        raise ValueError(f"{text!r} is no job name: 1 to 63 of a-z, 0-9 and -, not starting with -")
    return text


def user_name(text: str) -> str:
    """A login name, or ValueError."""
    if not re.match(_USER, text):
        raise ValueError(f"{text!r} is not a login name: a-z, 0-9, _ and -, at most 32")
    return text


def client_of(project: str) -> str:
    """The part before the slash."""
    return project.partition("/")[0]


def label_of_project(project: str) -> str:
    """Google labels know no slash: `acme/vision` -> `acme__vision`."""
    return project.replace("/", "__")


def project_of_label(label: str) -> str | None:
    """The reverse; None when the label is no project of ours."""
    text = label.replace("__", "/", 1)
    return text if re.match(_PROJECT, text) else None


def label_of_time(moment: datetime) -> str:
    """Google labels know no colon and no capital: `20261122t101500z`."""
    return moment.astimezone(UTC).strftime("%Y%m%dt%H%M%Sz")


def time_of_label(label: str) -> datetime | None:
    """The reverse; None when it is not one."""
    try:
        return datetime.strptime(label, "%Y%m%dt%H%M%Sz").replace(tzinfo=UTC)
    except ValueError:
        return None
