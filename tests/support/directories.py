"""User directories of unit tests."""

from authgw.core.users import NoUsers, User


class Directory(NoUsers):
    """A user directory of these entries, and of blocked accounts or subjects."""

    def __init__(
        self, *users: User, blocked: frozenset[tuple[str, str] | str] = frozenset()
    ) -> None:
        self.users = {user.sub: user for user in users}
        self.blocked = blocked

    def find(self, sub: str) -> User | None:
        return self.users.get(sub)

    def is_blocked(self, source: str, account: str, sub: str) -> bool:
        return (source, account) in self.blocked or sub in self.blocked
