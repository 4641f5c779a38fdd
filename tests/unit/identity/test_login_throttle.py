"""Who is heard and who must wait, against attackers with one address and with ten thousand."""

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authgw.core.errors import StoreUnavailableError, TooManyFailuresError
from authgw.identity.login_throttle import (
    PER_ADDRESS,
    PER_CODE,
    PER_DEVICE,
    PER_PAIR,
    PER_USER,
    LoginAttempt,
    LoginThrottle,
    network_of,
    password_attempt,
)
from tests.support.memory_counters import MemoryCounters

HOME = "192.0.2.1"
OFFICE = "203.0.113.7"


@pytest.fixture
def counters() -> MemoryCounters:
    return MemoryCounters()


@pytest.fixture
def regulation(counters: MemoryCounters) -> LoginThrottle:
    return LoginThrottle(counters)


def addresses(number: int) -> Iterator[str]:
    return (f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}" for n in range(number))


async def fails(regulation: LoginThrottle, user: str, address: str, device: str = "") -> bool:
    """Try a wrong password; say whether it was verified."""
    try:
        await regulation.admit(user, address, device)
    except TooManyFailuresError:
        return False
    return True


async def failures(regulation: LoginThrottle, times: int, *who: str) -> int:
    return sum([await fails(regulation, *who) for _ in range(times)])


async def wait_of(regulation: LoginThrottle, *who: str) -> float:
    with pytest.raises(TooManyFailuresError) as refused:
        await regulation.admit(*who)
    return refused.value.retry_after


async def test_five_slips_then_a_pause_that_refusals_do_not_extend(
    regulation: LoginThrottle, counters: MemoryCounters
) -> None:
    assert await failures(regulation, 5, "alice", HOME) == 5
    for _ in range(30):
        counters.now += 9
        assert await wait_of(regulation, "alice", HOME) == 300 - counters.now
    counters.now = 300
    assert await failures(regulation, 9, "alice", HOME) == 5


async def test_success_forgets_the_slips_of_this_pair_and_no_other(
    regulation: LoginThrottle,
) -> None:
    for _ in range(3):
        assert await failures(regulation, 4, "alice", HOME) == 4
        await regulation.record_success(await regulation.admit("alice", HOME))
    await failures(regulation, 5, "bob", HOME)
    await regulation.record_success(await regulation.admit("alice", HOME))
    assert not await fails(regulation, "bob", HOME)


async def test_success_leaves_nothing_counted(
    regulation: LoginThrottle, counters: MemoryCounters
) -> None:
    for user in ("alice", "bob"):
        for device in ("", "phone"):
            await regulation.record_success(await regulation.admit(user, HOME, device))
            await regulation.record_success(await regulation.admit_code(user, device))
    assert counters.kept == {}


async def test_an_attacker_with_an_account_resets_nothing_by_logging_in(
    regulation: LoginThrottle,
) -> None:
    heard = 0
    for number in range(1000):
        heard += await fails(regulation, f"victim{number}", OFFICE)
        try:
            await regulation.record_success(await regulation.admit("mallory", OFFICE))
        except TooManyFailuresError:
            continue
    assert heard == PER_ADDRESS.max_failures


@pytest.mark.parametrize("bogus", [257, 5000])
async def test_bogus_names_lock_nobody_else_out(
    regulation: LoginThrottle, counters: MemoryCounters, bogus: int
) -> None:
    heard = sum([await fails(regulation, f"bogus{n}", OFFICE) for n in range(bogus)])
    assert heard == min(bogus, PER_ADDRESS.max_failures)
    # Those who are refused cost the store no counters.
    assert len(counters.kept) == 2 * heard + 1
    assert await fails(regulation, "alice", HOME)
    assert await fails(regulation, "alice", OFFICE, "phone")
    assert await fails(regulation, "alice", OFFICE) == (bogus < PER_ADDRESS.max_failures)
    counters.now = PER_ADDRESS.window
    assert await fails(regulation, "alice", OFFICE)


async def test_one_forgetful_program_costs_its_office_nothing(regulation: LoginThrottle) -> None:
    assert await failures(regulation, 5000, "printer", OFFICE) == 5
    colleagues = [await fails(regulation, f"colleague{n}", OFFICE) for n in range(295)]
    assert all(colleagues)
    assert not await fails(regulation, "one more", OFFICE)


async def test_who_waits_for_two_reasons_waits_for_the_longer(
    regulation: LoginThrottle, counters: MemoryCounters
) -> None:
    for number in range(290):
        await fails(regulation, f"bogus{number}", OFFICE)
    counters.now = 100
    assert await failures(regulation, 10, "alice", OFFICE) == 5
    assert await wait_of(regulation, "alice", OFFICE) == 300
    assert await failures(regulation, 10, "bob", OFFICE) == 5
    assert await wait_of(regulation, "alice", OFFICE) == 800
    counters.now = 400
    assert await wait_of(regulation, "alice", OFFICE) == 500


async def test_ten_thousand_addresses_lock_nobody_out(
    regulation: LoginThrottle, counters: MemoryCounters
) -> None:
    heard = 0
    for address in addresses(10_000):
        heard += await failures(regulation, 6, "alice", address)
    # Five from each until the user is seen to be under attack, then one from each.
    assert heard == 100 + 10_000 - 20
    assert await failures(regulation, 11, "alice", HOME, "phone") == 10
    counters.now += PER_DEVICE.window
    await regulation.record_success(await regulation.admit("alice", HOME, "phone"))
    assert await fails(regulation, "alice", HOME)
    assert await wait_of(regulation, "alice", HOME) == PER_PAIR.window
    # Others are not under attack.
    assert await failures(regulation, 6, "bob", HOME) == 5


@pytest.mark.parametrize("pause", [1.0, 7.0, 60.0])
async def test_the_guesses_of_an_hour_are_bounded(
    regulation: LoginThrottle, counters: MemoryCounters, pause: float
) -> None:
    sites, heard = 20, 0
    while counters.now < PER_USER.window:
        for address in addresses(sites):
            heard += await fails(regulation, "alice", address)
        counters.now += pause
    windows = PER_USER.window / PER_PAIR.window
    assert heard <= PER_USER.max_failures + windows * sites


@pytest.mark.parametrize(("device", "heard"), [("", 5), ("phone", 10)])
async def test_parallel_guesses_do_not_slip_through(
    regulation: LoginThrottle, counters: MemoryCounters, device: str, heard: int
) -> None:
    tried = [fails(regulation, "alice", HOME, device) for _ in range(1000)]
    assert (await asyncio.gather(*tried)).count(True) == heard
    # What was refused is no longer counted against the address and the user.
    own, *shared = password_attempt("alice", HOME, device).counters
    assert [counters.kept[name][0] for name, _ in shared] == [heard] * len(shared)
    assert counters.kept[own[0]][0] == 1000


async def test_late_refusals_open_no_window(
    regulation: LoginThrottle, counters: MemoryCounters, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, gate = counters.release, asyncio.Event()

    async def late(forget: list[str], give_back: list[str]) -> None:
        await gate.wait()
        await release(forget, give_back)

    monkeypatch.setattr(counters, "release", late)
    await failures(regulation, 5, "alice", HOME)
    counters.now = 299.9
    refused = [asyncio.create_task(fails(regulation, "alice", HOME)) for _ in range(50)]
    for _ in range(5):
        await asyncio.sleep(0)
    counters.now = 300.0
    assert await failures(regulation, 5, "alice", HOME) == 5
    gate.set()
    assert not any(await asyncio.gather(*refused))
    assert await failures(regulation, 10, "alice", HOME) == 0


async def test_a_known_device_is_counted_apart(
    regulation: LoginThrottle, counters: MemoryCounters
) -> None:
    assert await failures(regulation, 12, "alice", HOME, "phone") == 10
    assert len(counters.kept) == 1
    assert await failures(regulation, 6, "alice", HOME) == 5
    assert await fails(regulation, "alice", HOME, "laptop")
    # A device is known for one user.
    assert await fails(regulation, "bob", HOME, "phone")
    assert await wait_of(regulation, "alice", HOME, "phone") == PER_DEVICE.window


async def test_codes_are_counted_by_user_and_known_device(
    regulation: LoginThrottle, counters: MemoryCounters
) -> None:
    for device in ("", "phone"):
        for _ in range(PER_CODE.max_failures):
            await regulation.admit_code("alice", device)
        counters.now += 100
        with pytest.raises(TooManyFailuresError) as refused:
            await regulation.admit_code("alice", device)
        assert refused.value.retry_after == PER_CODE.window - 100
    await regulation.admit_code("bob")
    # A password is another matter.
    attempt = await regulation.admit("alice", HOME)
    await regulation.record_success(attempt)
    with pytest.raises(TooManyFailuresError):
        await regulation.admit_code("alice")
    counters.now += PER_CODE.window
    for _ in range(3):
        for _ in range(PER_CODE.max_failures - 1):
            await regulation.admit_code("alice")
        await regulation.record_success(await regulation.admit_code("alice"))


async def test_what_was_not_verified_is_given_back(
    regulation: LoginThrottle, counters: MemoryCounters
) -> None:
    for device in ("", "phone"):
        for _ in range(50):
            await regulation.withdraw(await regulation.admit("alice", HOME, device))
    assert counters.kept == {}
    await failures(regulation, 4, "alice", HOME)
    await regulation.withdraw(await regulation.admit("alice", HOME))
    assert await failures(regulation, 3, "alice", HOME) == 1


async def test_each_call_costs_one_round_trip(
    regulation: LoginThrottle, counters: MemoryCounters
) -> None:
    for attempt in (regulation.admit("a", HOME), regulation.admit_code("a")):
        await regulation.record_success(await attempt)
    assert counters.trips == 4
    await failures(regulation, 5, "a", HOME)
    counters.trips = 0
    await fails(regulation, "a", HOME)
    assert counters.trips == 2


async def test_nobody_is_heard_without_the_store(
    regulation: LoginThrottle, counters: MemoryCounters
) -> None:
    counters.down = True
    for attempt in (regulation.admit("a", HOME), regulation.admit_code("a")):
        with pytest.raises(StoreUnavailableError):
            await attempt


async def test_a_refusal_stands_even_if_it_cannot_be_given_back(
    regulation: LoginThrottle, counters: MemoryCounters
) -> None:
    await failures(regulation, 5, "alice", HOME)
    refused = asyncio.create_task(wait_of(regulation, "alice", HOME))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    counters.down = True
    assert await refused == PER_PAIR.window


@pytest.mark.parametrize(
    ("address", "site"),
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
def test_whose_address_it_is(address: str, site: str) -> None:
    assert network_of(address) == site


async def test_the_addresses_of_one_site_are_one(regulation: LoginThrottle) -> None:
    heard = [await fails(regulation, "alice", f"2001:db8::{n:x}") for n in range(100)]
    assert heard.count(True) == 5
    assert await fails(regulation, "alice", "2001:db8:0:1::1")


TEXT = st.text(st.characters(codec=None), max_size=5)


@settings(deadline=None)
@given(st.tuples(TEXT, TEXT), st.tuples(TEXT, TEXT))
def test_no_two_attempts_share_a_pair(one: tuple[str, str], other: tuple[str, str]) -> None:
    def names(user: str, thing: str) -> set[str]:
        made = (password_attempt(user, thing, ""), password_attempt(user, "", thing + "d"))
        return {attempt.own[0] for attempt in made}

    assert len(names(*one)) == 2
    same = (one[0], network_of(one[1])) == (other[0], network_of(other[1]))
    assert bool(names(*one) & names(*other)) == same
    assert all(name.isascii() for name in names(*one))


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


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_counters_hold_what_was_admitted_and_failed(
    steps: list[tuple[str, str, str, bool, float]],
) -> None:
    asyncio.run(follow(steps))


async def follow(steps: list[tuple[str, str, str, bool, float]]) -> None:
    """No window of a pair or device has more failures than its limit, whoever else tried."""
    counters = MemoryCounters()
    regulation = LoginThrottle(counters)
    begun: dict[str, tuple[float, int]] = {}
    for user, address, device, right, pause in steps:
        counters.now += pause
        attempt = password_attempt(user, address, device)
        name, window = attempt.own
        start, failed = begun.get(name, (counters.now, 0))
        if counters.now >= start + window:
            start, failed = counters.now, 0
        max_failures = PER_DEVICE.max_failures if device else PER_PAIR.max_failures
        shared = live(counters, attempt)
        if await fails(regulation, user, address, device):
            assert failed < max_failures
            begun[name] = (start, failed + 1)
            if right:
                await regulation.record_success(attempt)
                begun.pop(name)
                assert live(counters, attempt) == shared
        else:
            assert failed == max_failures
            assert live(counters, attempt) == shared


def live(counters: MemoryCounters, attempt: LoginAttempt) -> list[int]:
    """The shared counts of an attempt as they are now."""
    kept = [counters.kept.get(name, (0, 0.0)) for name, _ in attempt.shared]
    return [count if ends > counters.now else 0 for count, ends in kept]
