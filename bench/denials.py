"""Cost of a denial: without a credential, with garbage, and with a forged token."""

import json
import secrets
from collections.abc import Mapping, Sequence
from functools import partial

import jwt

from authgw.core.base64url import base64url
from authgw.core.jws import canonical
from authgw.core.tokens import TokenType
from authgw.files.key_files import make_key
from bench.gateways import ORIGINAL, BenchGateway, BenchRedis, Lab, bearer, lab, loop_of
from bench.go_service import GoService, go_name, go_service, parts_of, x_go
from bench.hot import PATH, limit_checks
from bench.measure import ROUNDS, Measure, in_turn, median, ratio, sample, table
from bench.outcome import Benchmark, Outcome
from bench.population import new_sessions, tokens
from bench.wrk import load_each, request, write_requests

_COUNT = 2000  # different credentials of a kind
_KINDS = ("none", "garbage", "forged")
_PREVIOUS = "forged, previous version"


def measure(quick: bool) -> Outcome:
    """Send checks that must be denied, of each kind in turn."""
    seconds = 1 if quick else 4
    with lab() as made:
        redis = made.redis()
        gateway = made.fleet(redis.url).replica()
        samples = in_turn(_variants(made, redis, gateway, seconds))
        loop = loop_of(gateway)
    ratios = {f"{kind}_x_limit": ratio(samples[kind], samples["raw httptools"]) for kind in _KINDS}
    figures = {
        **ratios,
        **{f"{kind}_x_go": x_go(samples, kind) for kind in _KINDS},
        "cpu_us": {name: median(rounds).cpu for name, rounds in samples.items()},
    }
    notes = (
        f"Medians of {ROUNDS} rounds of {seconds} s, 32 connections; the gateway runs {loop}.",
        f"Garbage and forged tokens are {_COUNT:,} different texts; each forged token has the "
        "form, the claims and the kid of a valid token, and the signature of a foreign key.",
        "With the header of a previous version the signature is verified by the public key.",
    )
    return Outcome(figures, (table("Denials", samples, parts_of(samples)),), notes)


BENCHMARK = Benchmark("denials", "What a check costs that is denied.", measure)


def _variants(
    made: Lab, redis: BenchRedis, gateway: BenchGateway, seconds: int
) -> dict[str, Measure]:
    parts = {"gateway": [gateway.pid], "redis": [redis.pid]}
    forged = _forged(made, gateway)
    credentials = _credentials(forged)
    credentials[_PREVIOUS] = [bearer(_with_previous_header(token)) for token in forged]
    variants = {
        kind: _denials(made, given, gateway.port, parts, seconds)
        for kind, given in credentials.items()
    }
    token = bearer(gateway.login()["access"])
    variants["raw httptools"] = limit_checks(made, gateway, token, seconds)
    go = go_service(made)
    if go is not None:
        variants |= _go_variants(made, go, seconds)
    return variants


def _go_variants(made: Lab, go: GoService, seconds: int) -> dict[str, Measure]:
    credentials = _credentials(_forged_for(go))
    return {
        go_name(kind): _denials(made, credentials[kind], go.port, go.parts, seconds)
        for kind in _KINDS
    }


def _credentials(forged: Sequence[str]) -> dict[str, list[dict[str, str]]]:
    garbage = [bearer(secrets.token_urlsafe(64)) for _ in range(_COUNT)]
    return {"none": [{}], "garbage": garbage, "forged": [bearer(token) for token in forged]}


def _denials(
    made: Lab,
    credentials: Sequence[Mapping[str, str]],
    port: int,
    parts: Mapping[str, Sequence[int]],
    seconds: int,
) -> Measure:
    file = made.directory("denials") / "requests"
    write_requests(file, [request("GET", PATH, {**ORIGINAL, **given}) for given in credentials])
    return partial(sample, parts, partial(load_each, port, file, seconds, denied=True))


def _forged(made: Lab, gateway: BenchGateway) -> list[str]:
    """Return tokens that name the gateway's key and are signed by another."""
    own, foreign = gateway.keys, made.directory("foreign") / "keys"
    make_key(foreign, "ES256")
    (file,) = foreign.glob("*.pem")
    file.rename(foreign / next(own.glob("*.pem")).name)
    return tokens(foreign, list(new_sessions(_COUNT)), TokenType.ACCESS)


def _with_previous_header(token: str) -> str:
    head, _, rest = token.partition(".")
    members = json.loads(canonical(head.encode()))
    previous = {name: members[name] for name in ("alg", "kid", "typ")}
    return f"{base64url(json.dumps(previous, separators=(',', ':')).encode()).decode()}.{rest}"


def _forged_for(go: GoService) -> list[str]:
    """Return tokens with the claims of the Go service's own and a signature by another secret."""
    (pair,) = go.login(1)
    claims = jwt.decode(pair["access"], options={"verify_signature": False})
    uids = (secrets.token_hex(16) for _ in range(_COUNT))
    return [jwt.encode({**claims, "uid": uid}, "a foreign secret" * 4, "HS256") for uid in uids]
