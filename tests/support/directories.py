"""User directories of unit tests."""

from collections.abc import Mapping

from authgw.core.users import NoUsers, User


class Directory(NoUsers):
    """A user directory of these entries, of blocked accounts or subjects, and of bound names."""

    def __init__(
        self,
        *users: User,
        blocked: frozenset[tuple[str, str] | str] = frozenset(),
        bindings: Mapping[str, tuple[str, str]] | None = None,
    ) -> None:
        self.users = {user.sub: user for user in users}
        self.blocked = blocked
        self.bindings = dict(bindings or {})

    def find(self, sub: str) -> User | None:
        return self.users.get(sub)

    def binding(self, name: str) -> tuple[str, str] | None:
        return self.bindings.get(name)

    def bound_name(self, issuer: str, account: str) -> str | None:
        names = [name for name, bound in self.bindings.items() if bound == (issuer, account)]
        return names[0] if names else None

    def is_blocked(self, source: str, account: str, sub: str) -> bool:
        return (source, account) in self.blocked or sub in self.blocked
