"""Login throttle: limits and waits, with attackers from a single and from many addresses."""

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authgw.core.errors import StoreUnavailableError, TooManyFailuresError
from authgw.core.limits import PER_ADDRESS, PER_CODE, PER_DEVICE, PER_PAIR, PER_USER
from authgw.core.networks import counted_network
from authgw.identity.login_throttle import (
    LoginAttempt,
    LoginThrottle,
    password_attempt,
)
from tests.support.memory_counters import MemoryCounters

HOME = "192.0.2.1"
OFFICE = "203.0.113.7"


@pytest.fixture
def counters() -> MemoryCounters:
    return MemoryCounters()


@pytest.fixture
def throttle(counters: MemoryCounters) -> LoginThrottle:
    return LoginThrottle(counters)


def addresses(number: int) -> Iterator[str]:
    return (f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}" for n in range(number))


async def fails(throttle: LoginThrottle, user: str, address: str, device: str = "") -> bool:
    """Try a wrong password; return True if the attempt was admitted."""
    try:
        await throttle.admit(user, address, device)
    except TooManyFailuresError:
        return False
    return True


async def failures(throttle: LoginThrottle, times: int, *source: str) -> int:
    return sum([await fails(throttle, *source) for _ in range(times)])


async def wait_of(throttle: LoginThrottle, *source: str) -> float:
    with pytest.raises(TooManyFailuresError) as error:
        await throttle.admit(*source)
    return error.value.retry_after


async def test_pause_after_five_failures_is_not_extended_by_refusals(
    throttle: LoginThrottle, counters: MemoryCounters
) -> None:
    assert await failures(throttle, 5, "alice", HOME) == 5
    for _ in range(30):
        counters.now += 9
        assert await wait_of(throttle, "alice", HOME) == 300 - counters.now
    counters.now = 300
    assert await failures(throttle, 9, "alice", HOME) == 5


async def test_success_resets_failures_of_this_pair_only(
    throttle: LoginThrottle,
) -> None:
    for _ in range(3):
        assert await failures(throttle, 4, "alice", HOME) == 4
        await throttle.record_success(await throttle.admit("alice", HOME))
    await failures(throttle, 5, "bob", HOME)
    await throttle.record_success(await throttle.admit("alice", HOME))
    assert not await fails(throttle, "bob", HOME)


async def test_success_leaves_no_counters(
    throttle: LoginThrottle, counters: MemoryCounters
) -> None:
    for user in ("alice", "bob"):
        for device in ("", "phone"):
            await throttle.record_success(await throttle.admit(user, HOME, device))
            await throttle.record_success(await throttle.admit_code(user, device))
    assert counters.kept == {}


async def test_attackers_own_login_does_not_reset_address_counter(
    throttle: LoginThrottle,
) -> None:
    admitted = 0
    for number in range(1000):
        admitted += await fails(throttle, f"victim{number}", OFFICE)
        try:
            await throttle.record_success(await throttle.admit("mallory", OFFICE))
        except TooManyFailuresError:
            continue
    assert admitted == PER_ADDRESS.max_failures


@pytest.mark.parametrize("unknown", [257, 5000])
async def test_unknown_names_do_not_lock_out_other_addresses(
    throttle: LoginThrottle, counters: MemoryCounters, unknown: int
) -> None:
    admitted = sum([await fails(throttle, f"unknown{n}", OFFICE) for n in range(unknown)])
    assert admitted == min(unknown, PER_ADDRESS.max_failures)
    # Refused attempts leave no counters in the store.
    assert len(counters.kept) == 2 * admitted + 1
    assert await fails(throttle, "alice", HOME)
    assert await fails(throttle, "alice", OFFICE, "phone")
    assert await fails(throttle, "alice", OFFICE) == (unknown < PER_ADDRESS.max_failures)
    counters.now = PER_ADDRESS.window
    assert await fails(throttle, "alice", OFFICE)


async def test_misconfigured_program_does_not_block_its_office(throttle: LoginThrottle) -> None:
    assert await failures(throttle, 5000, "printer", OFFICE) == 5
    colleagues = [await fails(throttle, f"colleague{n}", OFFICE) for n in range(295)]
    assert all(colleagues)
    assert not await fails(throttle, "one more", OFFICE)


async def test_longest_of_several_waits_applies(
    throttle: LoginThrottle, counters: MemoryCounters
) -> None:
    for number in range(290):
        await fails(throttle, f"unknown{number}", OFFICE)
    counters.now = 100
    assert await failures(throttle, 10, "alice", OFFICE) == 5
    assert await wait_of(throttle, "alice", OFFICE) == 300
    assert await failures(throttle, 10, "bob", OFFICE) == 5
    assert await wait_of(throttle, "alice", OFFICE) == 800
    counters.now = 400
    assert await wait_of(throttle, "alice", OFFICE) == 500


async def test_ten_thousand_addresses_do_not_lock_out_user(
    throttle: LoginThrottle, counters: MemoryCounters
) -> None:
    admitted = 0
    for address in addresses(10_000):
        admitted += await failures(throttle, 6, "alice", address)
    # Five attempts from each address, then a single attempt while the user is under attack.
    assert admitted == 100 + 10_000 - 20
    assert await failures(throttle, 11, "alice", HOME, "phone") == 10
    counters.now += PER_DEVICE.window
    await throttle.record_success(await throttle.admit("alice", HOME, "phone"))
    assert await fails(throttle, "alice", HOME)
    assert await wait_of(throttle, "alice", HOME) == PER_PAIR.window
    # Other users are not affected.
    assert await failures(throttle, 6, "bob", HOME) == 5


@pytest.mark.parametrize("pause", [1.0, 7.0, 60.0])
async def test_guesses_per_hour_are_bounded(
    throttle: LoginThrottle, counters: MemoryCounters, pause: float
) -> None:
    networks, admitted = 20, 0
    while counters.now < PER_USER.window:
        for address in addresses(networks):
            admitted += await fails(throttle, "alice", address)
        counters.now += pause
    windows = PER_USER.window / PER_PAIR.window
    assert admitted <= PER_USER.max_failures + windows * networks


@pytest.mark.parametrize(("device", "admitted"), [("", 5), ("phone", 10)])
async def test_parallel_guesses_do_not_exceed_limit(
    throttle: LoginThrottle, counters: MemoryCounters, device: str, admitted: int
) -> None:
    attempts = [fails(throttle, "alice", HOME, device) for _ in range(1000)]
    assert (await asyncio.gather(*attempts)).count(True) == admitted
    # Refused attempts are not counted for the address and the user.
    own, *shared = password_attempt("alice", HOME, device).counters
    assert [counters.kept[name][0] for name, _ in shared] == [admitted] * len(shared)
    assert counters.kept[own[0]][0] == 1000


async def test_late_releases_do_not_affect_next_window(
    throttle: LoginThrottle, counters: MemoryCounters, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, gate = counters.release, asyncio.Event()

    async def late(forget: list[str], give_back: list[str]) -> None:
        await gate.wait()
        await release(forget, give_back)

    monkeypatch.setattr(counters, "release", late)
    await failures(throttle, 5, "alice", HOME)
    counters.now = 299.9
    refusals = [asyncio.create_task(fails(throttle, "alice", HOME)) for _ in range(50)]
    for _ in range(5):
        await asyncio.sleep(0)
    counters.now = 300.0
    assert await failures(throttle, 5, "alice", HOME) == 5
    gate.set()
    assert not any(await asyncio.gather(*refusals))
    assert await failures(throttle, 10, "alice", HOME) == 0


async def test_known_device_is_counted_separately(
    throttle: LoginThrottle, counters: MemoryCounters
) -> None:
    assert await failures(throttle, 12, "alice", HOME, "phone") == 10
    assert len(counters.kept) == 1
    assert await failures(throttle, 6, "alice", HOME) == 5
    assert await fails(throttle, "alice", HOME, "laptop")
    # A device is known for a single user only.
    assert await fails(throttle, "bob", HOME, "phone")
    assert await wait_of(throttle, "alice", HOME, "phone") == PER_DEVICE.window


async def test_codes_are_counted_by_user_and_device(
    throttle: LoginThrottle, counters: MemoryCounters
) -> None:
    for device in ("", "phone"):
        for _ in range(PER_CODE.max_failures):
            await throttle.admit_code("alice", device)
        counters.now += 100
        with pytest.raises(TooManyFailuresError) as error:
            await throttle.admit_code("alice", device)
        assert error.value.retry_after == PER_CODE.window - 100
    await throttle.admit_code("bob")
    # Passwords have other counters.
    attempt = await throttle.admit("alice", HOME)
    await throttle.record_success(attempt)
    with pytest.raises(TooManyFailuresError):
        await throttle.admit_code("alice")
    counters.now += PER_CODE.window
    for _ in range(3):
        for _ in range(PER_CODE.max_failures - 1):
            await throttle.admit_code("alice")
        await throttle.record_success(await throttle.admit_code("alice"))


async def test_withdrawn_attempts_are_not_counted(
    throttle: LoginThrottle, counters: MemoryCounters
) -> None:
    for device in ("", "phone"):
        for _ in range(50):
            await throttle.withdraw(await throttle.admit("alice", HOME, device))
    assert counters.kept == {}
    await failures(throttle, 4, "alice", HOME)
    await throttle.withdraw(await throttle.admit("alice", HOME))
    assert await failures(throttle, 3, "alice", HOME) == 1


async def test_each_call_is_a_single_round_trip(
    throttle: LoginThrottle, counters: MemoryCounters
) -> None:
    for attempt in (throttle.admit("a", HOME), throttle.admit_code("a")):
        await throttle.record_success(await attempt)
    assert counters.trips == 4
    await failures(throttle, 5, "a", HOME)
    counters.trips = 0
    await fails(throttle, "a", HOME)
    assert counters.trips == 2


async def test_unavailable_store_refuses_attempts(
    throttle: LoginThrottle, counters: MemoryCounters
) -> None:
    counters.down = True
    for attempt in (throttle.admit("a", HOME), throttle.admit_code("a")):
        with pytest.raises(StoreUnavailableError):
            await attempt


async def test_refusal_does_not_depend_on_release(
    throttle: LoginThrottle, counters: MemoryCounters
) -> None:
    await failures(throttle, 5, "alice", HOME)
    refusal = asyncio.create_task(wait_of(throttle, "alice", HOME))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    counters.down = True
    assert await refusal == PER_PAIR.window


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("::ffff:cb00:7107", "203.0.113.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("unix", "unix"),
        ("", ""),
        ("203.0.113.07", "203.0.113.07"),
        ("not an address", "not an address"),
    ],
)
def test_network_of_address(address: str, network: str) -> None:
    assert counted_network(address) == network


async def test_addresses_of_ipv6_network_share_counter(throttle: LoginThrottle) -> None:
    admitted = [await fails(throttle, "alice", f"2001:db8::{n:x}") for n in range(100)]
    assert admitted.count(True) == 5
    assert await fails(throttle, "alice", "2001:db8:0:1::1")


TEXT = st.text(st.characters(codec=None), max_size=5)


@given(st.tuples(TEXT, TEXT), st.tuples(TEXT, TEXT))
def test_different_attempts_have_different_counters(
    first: tuple[str, str], second: tuple[str, str]
) -> None:
    def names(user: str, value: str) -> set[str]:
        attempts = (password_attempt(user, value, ""), password_attempt(user, "", value + "d"))
        return {attempt.own[0] for attempt in attempts}

    assert len(names(*first)) == 2
    same = (first[0], counted_network(first[1])) == (second[0], counted_network(second[1]))
    assert bool(names(*first) & names(*second)) == same
    assert all(name.isascii() for name in names(*first))


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["alice", "bob", "eve"]),
        st.sampled_from([HOME, OFFICE]),
        st.sampled_from(["", "", "phone"]),
        st.sampled_from([True, False, False, False]),
        st.sampled_from([0.0, 0.0, 1.0, 100.0]),
    ),
    max_size=80,
)


@settings(max_examples=200)
@given(STEPS)
def test_counters_contain_admitted_failures(
    steps: list[tuple[str, str, str, bool, float]],
) -> None:
    asyncio.run(follow(steps))


async def follow(steps: list[tuple[str, str, str, bool, float]]) -> None:
    """Check that no window of a pair or device has more failures than its limit."""
    counters = MemoryCounters()
    throttle = LoginThrottle(counters)
    started: dict[str, tuple[float, int]] = {}
    for user, address, device, right, pause in steps:
        counters.now += pause
        attempt = password_attempt(user, address, device)
        name, window = attempt.own
        start, failed = started.get(name, (counters.now, 0))
        if counters.now >= start + window:
            start, failed = counters.now, 0
        max_failures = PER_DEVICE.max_failures if device else PER_PAIR.max_failures
        shared = shared_counts(counters, attempt)
        if await fails(throttle, user, address, device):
            assert failed < max_failures
            started[name] = (start, failed + 1)
            if right:
                await throttle.record_success(attempt)
                started.pop(name)
                assert shared_counts(counters, attempt) == shared
        else:
            assert failed == max_failures
            assert shared_counts(counters, attempt) == shared


def shared_counts(counters: MemoryCounters, attempt: LoginAttempt) -> list[int]:
    """Return the current counts of the shared counters of an attempt."""
    kept = [counters.kept.get(name, (0, 0.0)) for name, _ in attempt.shared]
    return [count if ends > counters.now else 0 for count, ends in kept]
