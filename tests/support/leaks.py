"""Search for secrets in everything that the gateway writes."""

from collections.abc import Iterable, Iterator

from tests.support.processes import ISSUED, LOGS

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


def no_secret_in_the_logs() -> Iterator[None]:
    """Search every log of a suite for the secrets issued in it, once the suite is through."""
    yield
    written = "".join(log.read_text(errors="replace") for log in LOGS if log.exists())
    keys = [key.read_text() for log in LOGS for key in log.parent.glob("secrets/**/*.pem")]
    pem = {line for key in keys for line in key.splitlines() if len(line) > 40}
    pairs = [file.read_text() for log in LOGS for file in log.parent.glob("secrets/demo-client")]
    clients = {pair.strip().partition(":")[2] for pair in pairs}
    found = [secret[:12] for secret in leaked(ISSUED | pem | clients, written)]
    assert not found, f"in the logs, beginning with: {found}"
