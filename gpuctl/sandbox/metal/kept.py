"""Images of machines: their files as they were, for the machines that are started from them."""

import hashlib
import shutil
from pathlib import Path

_NOT_OF_THE_DISK = ("run", "shims", "tmp", "sandbox-gpu.json")
_OF_ONE_INSTANCE = "var/lib/cloud"
"""What cloud-init remembers: it knows another instance when it sees one."""


class Kept:
    """Below one directory, by the id of the image."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def keep(self, image: str, root: Path) -> None:
        """Copy a machine's files; a second image of the same id is not made."""
        place = self._place(image)
        if not place.exists():
            left_out = shutil.ignore_patterns(*_NOT_OF_THE_DISK)
            shutil.copytree(root, place, symlinks=True, ignore=left_out)

    def copy(self, image: str, copy: str) -> None:
        """Another image of the same files; of one that was not kept there is none."""
        if self._place(image).is_dir():
            self.keep(copy, self._place(image))

    def restore(self, image: str | None, root: Path) -> None:
        """Give a new machine the files of its image, where that was kept."""
        if image is None or root.exists() or not self._place(image).is_dir():
            return
        shutil.copytree(self._place(image), root, symlinks=True)
        shutil.rmtree(root / _OF_ONE_INSTANCE, ignore_errors=True)

    def clear(self) -> None:
        """Forget all."""
        shutil.rmtree(self._directory, ignore_errors=True)

    def _place(self, image: str) -> Path:
        return self._directory / hashlib.sha256(image.encode()).hexdigest()[:24]
