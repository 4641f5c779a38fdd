"""The mirror's metrics, in virtual time."""

import pytest

from tests.support.mirror_scene import ONE, TWO, MirrorScene, virtual


def numbers(s: MirrorScene) -> tuple[int, int, int]:
    return s.mirror.hits, s.mirror.misses, s.mirror.rereads


@virtual
async def test_look_ups_count_as_hits_or_misses(s: MirrorScene) -> None:
    assert s.mirror.peek(ONE.sid) is None
    await s.mirror.get(ONE.sid)
    assert numbers(s) == (0, 1, 0)
    assert s.mirror.peek(ONE.sid) is not None
    await s.mirror.get(ONE.sid)
    assert numbers(s) == (2, 1, 0)
    await s.mirror.get_many((ONE.sid, TWO.sid))
    assert numbers(s) == (3, 2, 0)
    assert len(s.mirror) == 2
    await s.mirror.revoke(ONE.sid)
    assert len(s.mirror) == 1
    assert s.mirror.peek(ONE.sid) is not None
    assert numbers(s) == (4, 2, 0)


@virtual
async def test_background_reads_are_counted(s: MirrorScene) -> None:
    await s.mirror.get(ONE.sid)
    await s.ask_until(30)
    assert numbers(s)[1:] == (1, len(s.store.calls) - 1)


@virtual
async def test_staleness_is_the_greatest_age_at_a_look_up(s: MirrorScene) -> None:
    await s.mirror.get(ONE.sid)
    assert s.mirror.staleness == 0
    await s.at(0.4)
    s.mirror.peek(ONE.sid)
    await s.at(5)
    assert s.mirror.staleness == pytest.approx(0.4)
    # A session that is not looked up ages without an effect on staleness.
    await s.mirror.get(TWO.sid)
    await s.at(10)
    assert s.mirror.staleness == pytest.approx(0.4)
    await s.at(100)
    assert s.mirror.staleness == 0


@virtual
async def test_staleness_grows_with_a_slow_store_up_to_the_bound(s: MirrorScene) -> None:
    await s.mirror.get(ONE.sid)
    await s.ask_until(30)
    assert 0.45 <= s.mirror.staleness <= 0.71
    s.store.delay = 0.2
    await s.ask_until(60)
    assert 0.75 <= s.mirror.staleness <= 1.0


@virtual
async def test_staleness_of_an_uncached_read_is_its_duration(s: MirrorScene) -> None:
    s.mirrored(0.0)
    s.store.delay = 0.2
    await s.mirror.get(ONE.sid)
    assert s.mirror.staleness == pytest.approx(0.2)
