"""Whether the session store can be reached, keeps what it is told, and whose keys run on it."""

from collections.abc import AsyncIterator, Iterator, Sequence

from authgw.config.loader import LoadedConfig
from authgw.core.errors import StoreUnavailableError
from authgw.core.keys import Key, SigningKeyError
from authgw.doctor.configuration import keys_of
from authgw.doctor.findings import CheckResult, ok, problem, warning
from authgw.server.store_factory import embedded_path, redis_servers, store_at_hand
from authgw.storage import StoreSetupError
from authgw.storage.redis.counters import ReplicaAnnouncement
from authgw.storage.redis.health import Health, health
from authgw.storage.redis.store import RedisStore

_PART = "store"
_LEEWAY = 5.0  # seconds between the clocks of replicas, as for tokens
_DRIFT = 1.0


async def examine(loaded: LoadedConfig) -> AsyncIterator[CheckResult]:
    """What is to be said of the store of this configuration."""
    if loaded.settings.cache.is_embedded:
        yield await _embedded(loaded)
        return
    try:
        async with store_at_hand(loaded) as store:
            assert isinstance(store, RedisStore)  # noqa: S101  the configuration says so
            await store.check()
            for remark in await _redis(loaded, store):
                yield remark
    except StoreUnavailableError as error:
        yield problem(_PART, _unreachable(error.detail))
    except (StoreSetupError, SigningKeyError) as error:
        yield problem(_PART, str(error))


def _unreachable(detail: str) -> str:
    if "Authentication" in detail:
        return "Redis refuses authgw's password: correct cache.password_file or cache.url"
    return f"cannot be asked ({detail}): start it, or correct cache.url"


async def _embedded(loaded: LoadedConfig) -> CheckResult:
    path = embedded_path(loaded)
    if path is None:
        return warning(_PART, "memory: every restart logs everybody out. Set cache.url to a file")
    if not path.exists():
        return ok(_PART, f"{path} is not there yet: the first start makes it")
    try:
        async with store_at_hand(loaded):
            return ok(_PART, f"{path}, {path.stat().st_size:,} bytes")
    except (StoreSetupError, StoreUnavailableError) as error:
        return problem(_PART, str(error))


async def _redis(loaded: LoadedConfig, store: RedisStore) -> list[CheckResult]:
    servers = redis_servers(loaded)
    try:
        found = await health(servers)
        several = servers.replicated
    finally:
        await servers.close()
    remarks = [remark for one in found for remark in judged(one, several)]
    return [*remarks, *_keys(loaded, await store.replicas())]


def judged(one: Health, replicated: bool) -> Iterator[CheckResult]:
    """What is to be said of one server; `replicated`: others have what it was told."""
    yield ok(_PART, f"{one.name}, version {one.version}, answers in {one.took * 1000:.1f} ms")
    if not one.saves:
        yield problem(_PART, f"{one.name} cannot save: look at its log and its disk")
    if not one.appendfsync:
        lost = "every session" if one.snapshots == "" else "the last log-ins and log-outs"
        said = f"{one.name} forgets {lost} when it ends: set appendonly yes, appendfsync always"
        yield warning(_PART, said)
    elif one.appendfsync != "always" and not replicated:
        said = f"{one.name} has appendfsync {one.appendfsync}: a crash forgets the last log-outs"
        yield warning(_PART, f"{said}. Set appendfsync always")
    yield _clock(one)


def _clock(one: Health) -> CheckResult:
    ahead = one.clock_ahead
    said = f"that of {one.name} is {abs(ahead):.1f} s {'ahead' if ahead > 0 else 'behind'}"
    if abs(ahead) > _LEEWAY:
        return problem("clock", f"{said}: tokens are refused. Set both clocks by NTP")
    if abs(ahead) > _DRIFT:
        return warning("clock", f"{said}: set both clocks by NTP")
    return ok("clock", said)


def _keys(loaded: LoadedConfig, running: Sequence[ReplicaAnnouncement]) -> Iterator[CheckResult]:
    try:
        mine = keys_of(loaded)
    except SigningKeyError:
        return  # said where the keys are looked at
    strange = sorted({one.signing for one in running} - {key.kid for key in mine})
    if strange:
        said = f"some sign with {', '.join(strange)}, which is not here: share the keys directory"
        yield problem("replicas", said)
    lacking = sum(not _has(one, mine) for one in running)
    if lacking:
        said = f"{lacking} of {len(running)} lack a key of this folder: restart them with all keys"
        yield warning("replicas", said)
    if not strange and not lacking:
        yield ok("replicas", f"{len(running)} run on this Redis, all with the keys of this folder")


def _has(one: ReplicaAnnouncement, keys: Sequence[Key]) -> bool:
    return {key.kid for key in keys} <= set(one.kids)
