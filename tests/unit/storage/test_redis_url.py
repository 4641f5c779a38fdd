"""URLs of Redis: their servers, and the errors of invalid URLs."""

import pytest

from authgw.storage.redis.url import RedisAddress, is_redis, parse_redis

THREE = (("a", 1), ("b", 26379), ("::1", 3))


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://cache", RedisAddress("one", (("cache", 6379),))),
        ("redis://cache:1/2", RedisAddress("one", (("cache", 1),), database=2)),
        ("redis://[::1]:7/", RedisAddress("one", (("::1", 7),))),
        ("redis://:p%40%2f@a", RedisAddress("one", (("a", 6379),), password="p@/")),
        ("redis://u:p@q@a", RedisAddress("one", (("a", 6379),), username="u", password="p@q")),
        ("rediss://u@a", RedisAddress("one", (("a", 6379),), tls=True, username="u")),
        ("redis+sentinel://a:1,b,[::1]:3/m", RedisAddress("sentinel", THREE, master="m")),
        (
            "rediss+sentinel://a/my%2fmaster/4",
            RedisAddress("sentinel", (("a", 26379),), tls=True, master="my/master", database=4),
        ),
        ("redis+cluster://a:1,b/0", RedisAddress("cluster", (("a", 1), ("b", 6379)))),
        ("rediss+cluster://a:1", RedisAddress("cluster", (("a", 1),), tls=True)),
    ],
)
def test_a_url_names_its_servers(url: str, address: RedisAddress) -> None:
    assert is_redis(url)
    assert parse_redis(url) == address


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("redis://", "without a host"),
        ("redis://a,b", "names several servers"),
        ("redis://a,", "without a host"),
        ("redis://a:0", "port of a that is not from 1 to 65535"),
        ("redis://a:65536", "has a port"),
        ("redis://a:", "has a port"),
        ("redis://a:1:2", "has a port"),
        ("redis://[::1", "without a host"),
        ("redis://[::1]7", "without a host"),
        ("redis://a/x", "has a database that is not a number"),
        ("redis://a?ssl=1", "options after"),
        ("redis://a#1", "options after"),
        ("redis+sentinel://a:1", "has no name of a master"),
        ("redis+sentinel://a:1/m/x", "has a database that is not a number"),
        ("redis+cluster://a/1", "which a Cluster does not have"),
        ("redis+sentinels://a/m", "is not the URL of a Redis: write redis://HOST"),
        ("redis+cluster:a", "is not the URL of a Redis"),
    ],
)
def test_invalid_urls_are_refused_with_a_reason(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as refused:
        parse_redis(url.replace("//", "//user:hush@"))
    assert "hush" not in str(refused.value)


def test_repr_contains_no_password() -> None:
    assert "hush" not in repr(parse_redis("redis://user:hush@a"))


@pytest.mark.parametrize("url", ["embedded:///a", "http://a", "redis2://a", ""])
def test_urls_of_other_stores_are_not_redis(url: str) -> None:
    assert not is_redis(url)
