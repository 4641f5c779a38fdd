"""Messages for files that cannot be used: the cause and the remedy for an error of the system."""

import errno
import os
from pathlib import Path


def file_error(path: Path, error: OSError) -> str:
    """Return the file, the reason why it cannot be used, and the remedy."""
    return f"{path}{_reason(path, error)}"


def _reason(path: Path, error: OSError) -> str:
    match error.errno:
        case errno.ENOENT:
            return " does not exist: create it, or correct the path"
        case errno.EACCES | errno.EPERM:
            return f" may not be used by {_account()}: {_permission_remedy(path)}"
        case errno.EISDIR:
            return " is a directory: name a file"
        case errno.ENOTDIR | errno.EEXIST if path.parent.is_file():
            return f" cannot exist, since {path.parent} is not a directory: correct the path"
        case errno.EEXIST:
            return " exists already: remove it first, or choose another name"
        case errno.EROFS:
            return " is on a read-only file system: mount it writable, or choose another path"
        case errno.ENOSPC | errno.EDQUOT:
            return " cannot be written, since the disk is full: free some space"
        case errno.ELOOP:
            return " is a symbolic link that cannot be followed: name the file itself"
        case _:
            return f" cannot be used ({error.strerror or type(error).__name__}): check the path"


def _account() -> str:
    return f"uid {os.geteuid()}"


def _permission_remedy(path: Path) -> str:
    # A file that cannot be seen may exist in a directory without access.
    target = path if os.access(path.parent, os.X_OK) and path.exists() else path.parent
    return f"correct owner or mode of {target} (chown, chmod)"
