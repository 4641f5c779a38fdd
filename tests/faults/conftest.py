"""Faults of the parts around a gateway and of the gateway itself, with real processes only."""

from tests.contract.conftest import redis_url as redis_url
