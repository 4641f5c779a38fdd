"""Counting what a session costs the store, beyond what a replica says to it anyway."""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from bench.gateways import RedisServer
from bench.measure import Sample


class StoreCommands:
    """Commands per second that a Redis processed, those inside scripts included."""

    def __init__(self, redis: RedisServer) -> None:
        self._client = redis.client()
        self._taken: list[float] = []

    def during(self, work: Callable[[], object]) -> float:
        """The commands per second while this is done."""
        began, before = time.monotonic(), self._processed()
        work()
        # One of them is our own question.
        return (self._processed() - before - 1) / (time.monotonic() - began)

    def while_sampling(self, take: Callable[[], Sample]) -> Sample:
        """Take a sample, and keep how many commands there were."""
        kept: list[Sample] = []
        self._taken.append(self.during(lambda: kept.append(take())))
        return kept[0]

    def taken(self) -> list[float]:
        """What was counted beside samples."""
        return self._taken

    @staticmethod
    def beyond(idle: Sequence[float], busy: Sequence[float]) -> float:
        """Commands per second that the work caused; medians, as a replica's announcements come
        every ten seconds and would make single windows differ."""
        return max(0.0, statistics.median(busy) - statistics.median(idle))

    def _processed(self) -> int:
        info: Any = self._client.info("stats")
        return int(info["total_commands_processed"])
