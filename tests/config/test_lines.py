"""Line numbers of keys, checked against what tomllib reads."""

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from gpuctl.config.lines import find_lines


def test_every_way_to_write_a_key():
    text = '''# comment [not.a.table]
top = 1
"quoted key" = "a # b"
a.'b.c'.d = 2

[t]  # tail
x = """
[not.a.table]
y = 1 \\"""
"""
inline = { one = 1, two.three = [1, { deep = 4 }] }
list = [
  "a", # , ]
  'b',
]
when = 2026-09-01 10:00:00

[[runs]]
id = 1
[[runs]]
id = 2
[runs.more]
z = 0
[runs.last]
quotes = """a"""""
plain = 1
["tab.le"]
k = \'\'\'it''s\'\'\'\'\'
'''
    tomllib.loads(text)
    lines = find_lines(text)
    assert lines[("top",)] == 2
    assert lines[("quoted key",)] == 3
    assert lines[("a", "b.c", "d")] == 4
    assert lines[("t",)] == 6
    assert lines[("t", "x")] == 7
    assert ("t", "y") not in lines
    assert lines[("t", "inline", "two", "three", 1, "deep")] == 11
    assert lines[("t", "list", 0)] == 13
    assert lines[("t", "list", 1)] == 14
    assert lines[("t", "when")] == 16
    assert lines[("runs", 0, "id")] == 19
    assert lines[("runs", 1, "id")] == 21
    assert lines[("runs", 1, "more", "z")] == 23
    assert lines[("runs", 1, "last", "plain")] == 26
    assert lines[("tab.le", "k")] == 28


def test_an_unreadable_text_gives_what_came_before():
    assert find_lines("a = 1\n= 2\nb = 3\n") == {("a",): 1}


BARE = st.text("abcXYZ019_-", min_size=1, max_size=6)
ANY = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=6)
NAMES = st.one_of(BARE, ANY)
LEAVES = st.one_of(
    st.booleans(),
    st.integers(-99, 99),
    st.dates(),
    st.text(st.sampled_from("ab[]{}=,.#'\"\\\n\té"), max_size=12),
)
TREES = st.dictionaries(
    NAMES,
    st.recursive(
        LEAVES,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)
        ),
        max_leaves=12,
    ),
    max_size=4,
)


class Writer:
    """Writes a tree as TOML, choosing among the styles of the language by a list of choices."""

    def __init__(self, choices):
        self.choices = choices
        self.drawn = 0

    def flip(self):
        self.drawn += 1
        return self.choices[self.drawn % len(self.choices)]

    def name(self, name):
        bare = name and all(c.isascii() and (c.isalnum() or c in "_-") for c in name)
        if bare and self.flip():
            return name
        if "'" not in name and self.flip():
            return f"'{name}'"
        return self.basic(name)

    def basic(self, text):
        out = ""
        for c in text:
            if c in '"\\':
                out += "\\" + c
            elif c == "\n":
                out += "\\n"
            elif ord(c) < 32 or ord(c) == 127:
                out += f"\\u{ord(c):04x}"
            else:
                out += c
        return f'"{out}"'

    def text(self, text):
        if self.flip():
            if "'''" not in text and not text.endswith("'") and self.flip():
                return f"'''{text}'''"
            body = text.replace("\\", "\\\\").replace('"""', '""\\"')
            body = body[:-1] + '\\"' if body.endswith('"') else body
            if body.startswith("\n") or self.flip():
                body = "\n" + body
            return f'"""{body}"""'
        return self.basic(text)

    def gap(self):
        return "\n  # , ] } \" '\n  " if self.flip() else " "

    def value(self, value):
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return "[" + self.gap() + ",".join(self.value(v) + self.gap() for v in value) + "]"
        if isinstance(value, dict):
            pairs = (f" {self.name(k)} = {self.value(v)}" for k, v in value.items())
            return "{" + ",".join(pairs) + " }"
        return str(value)

    def table(self, tree, path=()):
        out = ""
        later = []
        for key, value in tree.items():
            if isinstance(value, dict) and self.flip():
                later.append((key, value))
            elif isinstance(value, dict) and value and self.flip():
                for inner, leaf in value.items():
                    out += f"{self.name(key)} . {self.name(inner)} = {self.value(leaf)}\n"
            else:
                out += f"  {self.name(key)}={self.value(value)} # = [x]\n"
        for key, value in later:
            header = ".".join(self.name(part) for part in (*path, key))
            out += f"[ {header} ]\n" + self.table(value, (*path, key))
        return out


def paths_of(value, path=()):
    if path:
        yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths_of(inner, (*path, key))
    if isinstance(value, list):
        for index, inner in enumerate(value):
            yield from paths_of(inner, (*path, index))


@given(TREES, st.lists(st.booleans(), min_size=1, max_size=40), st.booleans())
def test_every_key_that_tomllib_reads_has_its_line(tree, choices, crlf):
    text = Writer(choices).table(tree)
    read = tomllib.loads(text.replace("\n", "\r\n") if crlf else text)
    lines = find_lines(text.replace("\n", "\r\n") if crlf else text)
    assert set(lines) == set(paths_of(read))
    written = text.split("\n")
    for path, line in lines.items():
        if isinstance(path[-1], str):
            here = written[line - 1]
            spellings = (path[-1], Writer([False]).basic(path[-1])[1:-1])
            assert any(spelling in here for spelling in spellings)
