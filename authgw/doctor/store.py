"""Checks of the session store: reachability, durability, clock, and the keys of its replicas."""

from collections.abc import AsyncIterator, Iterator, Sequence

from authgw.config.loader import LoadedConfig
from authgw.core.errors import StoreUnavailableError
from authgw.core.keys import Key, SigningKeyError
from authgw.doctor.configuration import keys_of
from authgw.doctor.findings import CheckResult, ok, problem, warning
from authgw.server.store_factory import kind_and_location, open_shared_store, store_file
from authgw.storage import StoreSetupError
from authgw.storage.redis.counters import ReplicaAnnouncement
from authgw.storage.redis.health import Health
from authgw.storage.redis.kind import REDIS
from authgw.storage.registry import kind_of
from authgw.storage.sqlite.kind import EMBEDDED

_PART = "store"
_MAX_CLOCK_DIFFERENCE = 5.0  # seconds; the leeway of tokens between the clocks of replicas
_MIN_CLOCK_WARNING = 1.0  # seconds


async def examine(loaded: LoadedConfig) -> AsyncIterator[CheckResult]:
    """Report on the store of this configuration."""
    try:
        if kind_of(loaded.settings.cache.address) is REDIS:
            for result in await _redis(loaded):
                yield result
        else:
            yield await _other(loaded)
    except StoreUnavailableError as error:
        yield problem(_PART, _unreachable(error.detail))
    except (StoreSetupError, SigningKeyError) as error:
        yield problem(_PART, str(error))


def _unreachable(detail: str) -> str:
    if "Authentication" in detail:
        return (
            "Redis refuses the user or password of authgw: correct cache.password_file or cache.url"
        )
    return f"cannot reach the session store ({detail}): start it, or correct cache.url"


async def _other(loaded: LoadedConfig) -> CheckResult:
    kind, path = kind_of(loaded.settings.cache.address), store_file(loaded)
    if path is None and kind is EMBEDDED:
        return warning(
            _PART, "in memory, so that every restart ends all sessions: set cache.url to a file"
        )
    if path is not None and not path.exists():
        return ok(_PART, f"{path} does not exist yet: the first start creates it")
    try:
        async with open_shared_store(loaded):
            if path is None:
                return ok(_PART, kind.describe(loaded.settings.cache.address, loaded.directory))
            return ok(_PART, f"{path}, {path.stat().st_size:,} bytes")
    except StoreUnavailableError as error:
        return problem(_PART, str(error))


async def _redis(loaded: LoadedConfig) -> list[CheckResult]:
    _, location = kind_and_location(loaded)
    store = await REDIS.open_shared(location)
    try:
        await store.ping()
        await store.check()
        results = [
            result
            for server in await store.health()
            for result in health_results(server, store.replicated)
        ]
        return [*results, *_keys(loaded, await store.replicas())]
    finally:
        await store.close()


def health_results(server: Health, replicated: bool) -> Iterator[CheckResult]:
    """Report on the durability and clock of a Redis server.

    `replicated` is True if other servers have copies of its writes.
    """
    yield ok(
        _PART, f"{server.name}, version {server.version}, responds in {server.took * 1000:.1f} ms"
    )
    if not server.saves:
        yield problem(_PART, f"{server.name} cannot save its data: check its log and its disk")
    if not server.appendfsync:
        lost = "every session" if server.snapshots == "" else "the last logins and logouts"
        message = (
            f"{server.name} loses {lost} when it stops: set appendonly yes and appendfsync always"
        )
        yield warning(_PART, message)
    elif server.appendfsync != "always" and not replicated:
        message = (
            f"{server.name} has appendfsync {server.appendfsync}, so that a crash loses the last "
            "logouts: set appendfsync always"
        )
        yield warning(_PART, message)
    yield _clock(server)


def _clock(server: Health) -> CheckResult:
    ahead = server.clock_ahead
    message = (
        f"the clock of {server.name} is {abs(ahead):.1f} s {'ahead' if ahead > 0 else 'behind'}"
    )
    if abs(ahead) > _MAX_CLOCK_DIFFERENCE:
        return problem(
            "clock", f"{message}, so that tokens are refused: synchronise both clocks by NTP"
        )
    if abs(ahead) > _MIN_CLOCK_WARNING:
        return warning("clock", f"{message}: synchronise both clocks by NTP")
    return ok("clock", message)


def _keys(loaded: LoadedConfig, running: Sequence[ReplicaAnnouncement]) -> Iterator[CheckResult]:
    try:
        own_keys = keys_of(loaded)
    except SigningKeyError:
        return  # reported with the configuration
    unknown_kids = sorted({replica.signing for replica in running} - {key.kid for key in own_keys})
    if unknown_kids:
        message = (
            f"some sign with {', '.join(unknown_kids)}, which auth.keys does not contain here: "
            "share the directory"
        )
        yield problem("replicas", message)
    incomplete = sum(not _has_all(replica, own_keys) for replica in running)
    if incomplete:
        message = (
            f"{incomplete} of {len(running)} lack a key of this directory: share it, and "
            "send them SIGHUP"
        )
        yield warning("replicas", message)
    if not unknown_kids and not incomplete:
        yield ok("replicas", f"{len(running)} on this Redis, all with the keys of this directory")


def _has_all(replica: ReplicaAnnouncement, keys: Sequence[Key]) -> bool:
    return {key.kid for key in keys} <= set(replica.kids)
