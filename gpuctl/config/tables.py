"""What holds other values: lists, tables of known keys, and tables of names chosen by the user."""

from gpuctl.config.shapes import Schema, Shape, Text, near


class ListOf(Shape):
    """A list of one kind; where `single`, one bare value stands for a list of one."""

    def __init__(self, item: Shape, *, single: bool = False) -> None:
        self.item = item
        self.single = single
        self.word = f"list of: {item.word}" + (", or one of them" if single else "")

    def schema(self) -> Schema:
        """An array."""
        many: Schema = {"type": "array", "items": self.item.schema()}
        return {"anyOf": [self.item.schema(), many]} if self.single else many

    def of_text(self, text: str) -> object:
        """Parts between commas."""
        return [self.item.of_text(part.strip()) for part in text.split(",") if part.strip()]


class Key:
    """One key of a table: what it may hold, why it is there, and what holds without it."""

    def __init__(
        self,
        name: str,
        shape: Shape,
        doc: str,
        *,
        default: object = None,
        required: bool = False,
        also: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.shape = shape
        self.doc = doc
        self.default = default
        """As it would be written in TOML."""
        self.required = required
        self.also = also
        """Words that people of other tools write for it; answered with its name."""


class Table(Shape):
    """Known keys. `always`: its defaults hold even when it is not written."""

    word = "table"

    def __init__(self, *keys: Key, always: bool = False) -> None:
        self.keys = {key.name: key for key in keys}
        self.always = always

    def nearest(self, name: str) -> str | None:
        """The key that was probably meant."""
        for key in self.keys.values():
            if name in key.also:
                return key.name
        return near(name, tuple(self.keys))

    def schema(self) -> Schema:
        """An object that knows no other keys."""
        properties: Schema = {}
        for key in self.keys.values():
            described: Schema = {"description": key.doc, **key.shape.schema()}
            if key.default is not None:
                described["default"] = key.default
            properties[key.name] = described
        return {"type": "object", "properties": properties, "additionalProperties": False}


class MapOf(Shape):
    """Names of the user's choosing, all holding the same kind; `what` says what is named."""

    def __init__(self, what: str, item: Shape, name: Text) -> None:
        self.what = what
        self.item = item
        self.name = name
        self.word = f"table: {what} = {item.word}"

    def schema(self) -> Schema:
        """An object with a pattern for its names."""
        return {
            "type": "object",
            "patternProperties": {f"^(?:{self.name.form})$": self.item.schema()},
            "additionalProperties": False,
        }
