"""Failures of a Redis: of the connection to it, and the error replies that it sends.

The names of the classes appear in the log and in metrics.
"""


class RedisError(Exception):
    """A failure of a Redis."""


class ConnectionError(RedisError):
    """A failure of the connection or of the whole server, for all commands that wait."""


class AuthenticationError(ConnectionError):
    """A wrong user or password."""


class BusyLoadingError(ConnectionError):
    """A server that is still loading its data."""


class MasterNotFoundError(ConnectionError):
    """No Sentinel names the master."""


class ResponseError(RedisError):
    """The refusal of a single command."""


class NoScriptError(ResponseError):
    """A script that the server does not have yet."""


class NoPermissionError(ResponseError):
    """A command that the ACL does not grant."""


class OutOfMemoryError(ResponseError):
    """A write to a server that has reached its `maxmemory`."""


class ReadOnlyError(ResponseError):
    """A write to a server that is a replica."""


class TryAgainError(ResponseError):
    """A command whose keys are distributed over two nodes while their slot is moved."""


class ClusterDownError(ResponseError):
    """A Cluster, or a node of it, that serves no keys now."""


class MasterDownError(ClusterDownError):
    """A replica that has lost its master."""


class AskError(ResponseError):
    """A redirection of this command alone to the server of `slot_id` at `host` and `port`.

    `host` is empty if it is that of the redirecting node.
    """

    def __init__(self, text: str) -> None:
        """Read the text after the code.

        Raises:
            ValueError: it is not a slot and an address.
        """
        super().__init__(text)
        slot, address = text.split(" ")
        self.host, port = address.rsplit(":", 1)
        self.slot_id, self.port = int(slot), int(port)


class MovedError(AskError):
    """A redirection of all commands for this slot."""


_KINDS: dict[str, type[RedisError]] = {
    "ASK": AskError,
    "CLUSTERDOWN": ClusterDownError,
    "ERR": ResponseError,
    "LOADING": BusyLoadingError,
    "MASTERDOWN": MasterDownError,
    "MOVED": MovedError,
    "NOAUTH": AuthenticationError,
    "NOPERM": NoPermissionError,
    "NOSCRIPT": NoScriptError,
    "OOM": OutOfMemoryError,
    "READONLY": ReadOnlyError,
    "TRYAGAIN": TryAgainError,
    "WRONGPASS": AuthenticationError,
}
# Texts of ERR that concern more than the command.
_TEXTS: dict[str, type[RedisError]] = {
    "max number of clients reached": ConnectionError,
    "invalid password": AuthenticationError,
}


def without_frames(error: Exception) -> Exception:
    """Drop the frames that raised an error and its causes; return it.

    A frame that keeps the error, or a link that does, is in a cycle with it, which only the garbage
    collector finds: megabytes while a Redis cannot be reached, since a link has large buffers.
    """
    error.__traceback__ = error.__context__ = error.__cause__ = None
    return error


def error_reply(text: str) -> RedisError:
    """Return the exception for an error reply, without a code that its class states.

    Raises:
        ValueError: the text of a redirection is not valid.
    """
    code, _, detail = text.partition(" ")
    kind = _KINDS.get(code)
    if kind is None:
        return ResponseError(text)
    if code == "ERR":
        kind = _TEXTS.get(detail, kind)
    return kind(detail)
