"""A home of its own for each test, and a short way to load what is written there."""

import textwrap

import pytest

from gpuctl.config.load import Sources, load
from gpuctl.core.errors import ConfigError


class Home:
    """A user's file and a project directory, both empty at first."""

    def __init__(self, root):
        self.environ = {"GPUCTL_HOME": str(root / "home"), "HOME": str(root)}
        self.user_file = root / "home/config/config.toml"
        self.project = root / "work"
        self.project_file = self.project / "gpuctl.toml"
        self.user_file.parent.mkdir(parents=True)
        self.project.mkdir()

    def user(self, text):
        self.user_file.write_text(textwrap.dedent(text), encoding="utf-8")
        self.user_file.chmod(0o600)
        return self

    def directory(self, text):
        self.project_file.write_text(textwrap.dedent(text), encoding="utf-8")
        return self

    def sources(self, **flags):
        return Sources.find(self.environ, self.project, flags)

    def load(self, **flags):
        return load(self.sources(**flags))

    def problems(self, **flags):
        """What is wrong, as (file name, line, key), and the problems themselves."""
        with pytest.raises(ConfigError) as caught:
            self.load(**flags)
        return caught.value.problems


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)
