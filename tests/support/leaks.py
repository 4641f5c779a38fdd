"""Whether something that nobody may read was written somewhere."""

from collections.abc import Iterable

LEAST = 13  # characters; anything shorter could be there by chance


def leaked(secrets: Iterable[str], written: str) -> set[str]:
    """Which of these are in it, but for those that are shorter than LEAST.

    It looks through the text once, however many they are: a soak issues thousands, and its logs
    are tens of megabytes.
    """
    by_beginning: dict[str, list[str]] = {}
    for secret in secrets:
        by_beginning.setdefault(secret[:LEAST], []).append(secret)
    places = (at for at in range(len(written)) if written[at : at + LEAST] in by_beginning)
    return {
        secret
        for at in places
        for secret in by_beginning[written[at : at + LEAST]]
        if len(secret) >= LEAST and written.startswith(secret, at)
    }
