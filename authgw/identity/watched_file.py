"""A file of entries that is read again when it changes, and its state while it cannot be used."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from authgw.core.errors import OperatorError

# A file that was just modified may be incomplete, or be modified again within the same timestamp.
_MIN_AGE = 0.1  # seconds
Content = TypeVar("Content")


@dataclass(frozen=True, slots=True)
class _FileStatus:
    """The file status that detects a change; `changed` (ctime) covers mode and owner too."""

    modified: int
    changed: int
    size: int
    inode: int


class WatchedFile(Generic[Content]):
    """The content of a file after its last valid change.

    `problem` is the reason why the file cannot be used since then, or "".
    """

    def __init__(
        self,
        path: Path,
        read: Callable[[Path], Content],
        read_again: Callable[[Path], Content],
        before: Content | None,
        *,
        refusal: type[OperatorError],
    ) -> None:
        """Read the file; `read` accepts a missing file, `read_again` does not.

        `before` is the content before a reload of the configuration, None at the start. Every
        refusal is of the class `refusal`.

        Raises:
            OperatorError: The file cannot be used.
        """
        self.path = path
        self.problem = ""
        self._read = read
        self._read_again = read_again
        self._refusal = refusal
        self._lock = threading.Lock()
        self._stamp = _stamp(path)
        self.content: Content = self._current(before)

    def reload_if_changed(self) -> bool:
        """Read the file again if it has changed.

        Returns:
            False if the file has not changed, or may still be being written.
        """
        with self._lock:
            stamp = _stamp(self.path)
            if stamp == self._stamp or _is_recent(stamp):
                return False
            self._stamp = stamp
            try:
                self.content = self._current(self.content)
                self.problem = ""
            except self._refusal as error:
                self.problem = str(error)
            return True

    def reload(self) -> None:
        """Read the file again after an edit by this process.

        Raises:
            OperatorError: The file cannot be used; the previous content stays.
        """
        with self._lock:
            self.content = self._current(self.content)

    def _current(self, before: Content | None) -> Content:
        if not before:
            return self._read(self.path)
        if self._stamp is not None and self._stamp.size == 0:
            # A full disk, or an editor that is still writing, leaves an empty file.
            raise self._refusal(
                f"{self.path} is empty: restore it, or write {{}} for a file without entries"
            )
        return self._read_again(self.path)


def _stamp(path: Path) -> _FileStatus | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return _FileStatus(status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)


def _is_recent(stamp: _FileStatus | None) -> bool:
    return stamp is not None and 0 <= time.time() - stamp.modified / 1e9 < _MIN_AGE
