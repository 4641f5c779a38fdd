"""Random requests as bytes, made from a seed: usual, unusual and malformed.

Each is exactly one message, or ends its connection; no request changes the response to another.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

_CRLF = b"\r\n"
_HOSTS = (b"app.example.com", b"wiki.example.com", b"dav.example.com", b"other.example.org")
_LIMIT = 32 * 1024  # bytes of a line, as the gateway takes them
_PATHS = (
    *(b"/ping", b"/healthz", b"/readyz", b"/.well-known/jwks.json", b"/login/style.css"),
    *(b"/login", b"/login/totp", b"/login/account", b"/logout", b"/refresh", b"/nowhere", b"/"),
    *(b"//ping", b"/ping?x=y", b"http://x/ping", b"/%ff", b"/\xff"),
)
_LINES = (
    *(b"GET /ping", b"GET /authenticate", b"POST /ping", b"POST /refresh", b"POST /login"),
    *(b"POST /nowhere", b"PUT /authenticate/envoy/a"),
)
UPGRADES: tuple[tuple[bytes, ...], ...] = (
    (b"Connection: Upgrade", b"Upgrade: h2c"),
    (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__"),
    (b"Connection: upgrade", b"Upgrade: foo"),
    (b"Connection: Upgrade", b"Upgrade: TLS/1.2"),
    (b"Connection: Upgrade", b"Upgrade: TLS/1.0, HTTP/1.1"),
    (b"Connection: keep-alive, Upgrade", b"Upgrade: websocket"),
    (b"Connection: Upgrade", b"Upgrade: WebSocket"),
    (b"Connection: Upgrade", b"Upgrade: websocket", b"Upgrade: h2c"),
    (b"Connection: Upgrade", b"Upgrade: h2c, websocket"),
    (b"Upgrade: h2c", b"connection: x", b"Connection: Upgrade"),
    (b"Upgrade: h2c",),
    (b"Upgrade: websocket",),
    (b"HTTP2-Settings: AAMAAABkAAQAAP__",),
)
MALFORMED: tuple[bytes, ...] = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /ping HTTP/2.0\r\nHost: x\r\n\r\n",
    b"GET /ping HTTP/0.9\r\nHost: x\r\n\r\n",
    b"GET /ping HTTP/1.2\r\nHost: x\r\n\r\n",
    b"GET /ping\r\n\r\n",
    b"get /ping HTTP/1.1\r\nHost: x\r\n\r\n",
    b"FOO /ping HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET ping HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET * HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /ping HTTP/1.1\r\n\r\n",
    b"GET /ping HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    b"GET /ping HTTP/1.1\r\nHost : x\r\n\r\n",
    b"GET /ping HTTP/1.1\r\nHost: x\nX: y\r\n\r\n",
    b"GET /ping HTTP/1.1\nHost: x\n\n",
    b"GET /ping HTTP/1.1\r\nHost: x\r\n\nX: y\r\n\r\n",
    b"GET /ping HTTP/1.1\r\nHost: x\rX: y\r\n\r\n",
    b"GET /ping HTTP/1.1\r\nHost: x\r\nX: a\r\n folded\r\n\r\n",
    b"GET /ping HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n",
    b"GET /ping HTTP/1.1\r\nHost: x\r\nX\x00: a\r\n\r\n",
    b"GET /pi\x00ng HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /ping HTTP/1.1\r\nHost: x\r\n: a\r\n\r\n",
    b"GET /ping HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
    b"POST /ping HTTP/1.1\r\nHost: x\r\nContent-Length: +4\r\n\r\nabcd",
    b"POST /ping HTTP/1.1\r\nHost: x\r\nContent-Length: -4\r\n\r\nabcd",
    b"POST /ping HTTP/1.1\r\nHost: x\r\nContent-Length: 0x4\r\n\r\nabcd",
    b"POST /ping HTTP/1.1\r\nHost: x\r\nContent-Length: 4, 4\r\n\r\nabcd",
    b"POST /ping HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nabcd",
    b"POST /ping HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n",
    b"POST /ping HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0",
    b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0",
    b"POST /ping HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    b"POST /ping HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}xx0\r\n\r\n",
    b"GET /ping HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    b"GET /ping?" + b"a" * (_LIMIT + 1) + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /ping HTTP/1.1\r\nHost: x\r\nX: " + b"a" * (_LIMIT + 1) + b"\r\n\r\n",
    b"GET /ping HTTP/1.1\r\nHost: x\r\n" + b"a" * (_LIMIT + 1) + b": x\r\n\r\n",
    b"GET /ping HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(32),
)


@dataclass(frozen=True, slots=True)
class SmuggledIdentity:
    """Credentials that a request may have: an access token, a refresh token, a session cookie."""

    access: str
    refresh: str
    cookie: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """The bytes of a request, and its kind."""

    kind: str
    raw: bytes

    @property
    def is_head(self) -> bool:
        """Report whether its response has no body."""
        return self.raw.lstrip(_CRLF).startswith(b"HEAD ")


class Messages:
    """Makes messages of the given kinds, all if none are given."""

    def __init__(
        self,
        choose: Random,
        identities: list[SmuggledIdentity],
        client: str,
        kinds: tuple[str, ...] = (),
    ) -> None:
        self._choose = choose
        self._identities = identities
        self._client = client.encode()
        made: dict[str, tuple[int, Callable[[], bytes]]] = {
            "check": (30, self._check),
            "direct": (8, self._direct),
            "forward": (6, self._forward),
            "envoy": (4, self._envoy),
            "login": (6, self._login),
            "refresh": (5, self._refresh),
            "ending": (5, self._ending),
            "form": (3, self._form),
            "plain": (12, self._plain),
            "body": (8, lambda: self._body(chunked=False)),
            "chunked": (3, lambda: self._body(chunked=True)),
            "upgrade": (6, self._upgrade),
            "expect": (4, self._expect),
            "last": (4, self._last),
            "malformed": (6, lambda: choose.choice(MALFORMED)),
        }
        self._makers = {kind: made[kind][1] for kind in kinds or made}
        self._weights = [made[kind][0] for kind in self._makers]

    def one(self) -> Message:
        """Another message."""
        (kind,) = self._choose.choices(list(self._makers), self._weights)
        raw = self._makers[kind]()
        # RFC 9112 section 2.2: an empty line may stand before a request.
        blank = _CRLF if kind != "malformed" and self._choose.random() < 0.03 else b""
        return Message(kind, blank + raw)

    def _identity(self) -> SmuggledIdentity:
        return self._choose.choice(self._identities)

    def _head(self, line: bytes, *fields: bytes, version: bytes = b"HTTP/1.1") -> bytes:
        lines = [b"Host: x", *fields]
        if self._choose.random() < 0.3:
            self._choose.shuffle(lines)
        if self._choose.random() < 0.3:
            lines.insert(self._choose.randrange(len(lines) + 1), self._harmless())
        spelled = [self._spelled(each) for each in lines]
        return _CRLF.join([line + b" " + version, *spelled, b"", b""])

    def _harmless(self) -> bytes:
        number = self._choose.randrange(1000)
        return self._choose.choice(
            (
                b"User-Agent: tests/%d" % number,
                b"X-Other-%d: a" % number,
                b"X-Request-ID: m-%d" % number,
                b"Accept: text/html",
                b"Accept: */*",
                b"X-Empty:",
                b"X-Bytes: \xff\xfe",
                b"X-Long: " + b"a" * self._choose.choice((4000, _LIMIT - 64)),
                b"Cookie: other=%d" % number,
                b"Connection: keep-alive",
                b"TE: trailers",
                b"X-Forwarded-For: 10.0.0.%d" % (number % 250),
            )
        )

    def _spelled(self, field: bytes) -> bytes:
        """The same header in another spelling that means the same."""
        name, _, value = field.partition(b":")
        if self._choose.random() < 0.1:
            name = self._choose.choice((name.lower(), name.upper()))
        space = self._choose.choice((b" ", b" ", b" ", b" ", b"", b"\t", b"   "))
        end = self._choose.choice((b"", b"", b"", b"", b" ", b"\t "))
        return name + b":" + space + value.strip() + end

    def _bearer(self) -> bytes:
        tokens = (self._identity().access, self._identity().access, self._identity().access)
        odd = (self._identity().refresh, "none", "a.b.c")
        token = self._choose.choice((*tokens, *tokens, *odd))
        return b"Authorization: Bearer " + token.encode()

    def _credential(self) -> tuple[bytes, ...]:
        cookie = self._identity().cookie
        if cookie and self._choose.random() < 0.3:
            return (b"Cookie: a=b; __Secure-authgw=" + cookie.encode() + b"; c=d",)
        return (self._bearer(),) if self._choose.random() < 0.9 else ()

    def _original(self) -> tuple[bytes, ...]:
        host = self._choose.choice(_HOSTS)
        path = self._choose.choice((b"/", b"/a?b=c", b"/vault/x", b"/..%2fx", b"/long/" * 200))
        method = self._choose.choice((b"GET", b"GET", b"GET", b"POST", b"DELETE"))
        named = (
            b"X-Original-URL: https://" + host + path,
            b"X-Original-Host: " + host,
            b"X-Original-Method: " + method,
        )
        return named if self._choose.random() < 0.95 else named[:2]

    def _check(self) -> bytes:
        line = self._choose.choice((b"GET /authenticate",) * 9 + (b"HEAD /authenticate",))
        return self._head(line, *self._original(), *self._credential())

    def _direct(self) -> bytes:
        return self._head(b"GET /authenticate", *self._credential())

    def _forward(self) -> bytes:
        return self._head(
            b"GET /authenticate/forward",
            b"X-Forwarded-Method: GET",
            b"X-Forwarded-Proto: https",
            b"X-Forwarded-Host: " + self._choose.choice(_HOSTS),
            b"X-Forwarded-Uri: /a?b=c",
            *self._credential(),
        )

    def _envoy(self) -> bytes:
        method = self._choose.choice((b"GET", b"POST", b"HEAD"))
        return self._head(
            method + b" /authenticate/envoy/a?b=c", b"X-Forwarded-Proto: https", *self._credential()
        )

    def _login(self) -> bytes:
        user = {"user_id": self._choose.randrange(10_000, 2**53), "groups": ["users"]}
        odd: tuple[object, ...] = ({"user_id": 0}, {"surprise": 1}, [], "")
        wanted = user if self._choose.random() < 0.8 else self._choose.choice(odd)
        return self._json(b"POST /login", wanted)

    def _refresh(self) -> bytes:
        token = self._choose.choice((self._identity().refresh, self._identity().access, "none"))
        return self._json(b"POST /refresh", {"refresh": token})

    def _ending(self) -> bytes:
        """Return a logout or a revocation that ends no session."""
        wanted: tuple[object, ...] = ({"subject": "nobody"}, {"refresh": "none"}, {"all": 1}, {})
        line = self._choose.choice((b"POST /logout", b"POST /revoke"))
        return self._json(line, self._choose.choice(wanted))

    def _json(self, line: bytes, wanted: object) -> bytes:
        body = json.dumps(wanted).encode()
        fields = [b"Authorization: " + self._client, b"Content-Type: application/json"]
        if self._choose.random() < 0.1:
            fields.append(b"Expect: 100-continue")
        return self._with_body(line, body, *fields, chunked=self._choose.random() < 0.2)

    def _form(self) -> bytes:
        """Return a login form without the token that its page contains."""
        line = self._choose.choice((b"POST /login", b"POST /login/totp", b"POST /logout"))
        kind = b"Content-Type: application/x-www-form-urlencoded"
        return self._with_body(line, b"username=alice&password=x", kind, chunked=False)

    def _with_body(self, line: bytes, body: bytes, *fields: bytes, chunked: bool) -> bytes:
        if not chunked:
            return self._head(line, *fields, b"Content-Length: %d" % len(body)) + body
        head = self._head(line, *fields, b"Transfer-Encoding: chunked")
        cut = self._choose.randrange(len(body) + 1)
        parts = [each for each in (body[:cut], body[cut:]) if each]
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in parts)
        trailer = self._choose.choice((b"", b"X-Trailer: a\r\n", b"Remote-User: admin\r\n"))
        return head + chunks + b"0\r\n" + trailer + _CRLF

    def _plain(self) -> bytes:
        method = self._choose.choice((b"GET", b"GET", b"GET", b"HEAD", b"OPTIONS", b"DELETE"))
        length = (b"Content-Length: 0",) if self._choose.random() < 0.2 else ()
        return self._head(method + b" " + self._choose.choice(_PATHS), *length)

    def _body(self, *, chunked: bool) -> bytes:
        """Return a request whose body reads like a check with another user's token."""
        hidden = self._check() * self._choose.choice((1, 1, 1, 2, 60))
        line = self._choose.choice(_LINES)
        # A body of another type is refused before it has arrived.
        kind = (b"Content-Type: text/plain",) if self._choose.random() < 0.7 else ()
        return self._with_body(line, hidden, *kind, *self._credential(), chunked=chunked)

    def _upgrade(self) -> bytes:
        upgrade = self._choose.choice(UPGRADES)
        line = self._choose.choice((b"GET /authenticate", b"GET /ping", b"POST /ping"))
        if self._choose.random() < 0.15:
            return self._head(b"CONNECT app.example.com:443")
        if self._choose.random() < 0.5:
            return self._head(line, *self._original(), *self._credential(), *upgrade)
        chunked = self._choose.random() < 0.3
        return self._with_body(line, self._check(), *upgrade, chunked=chunked)

    def _expect(self) -> bytes:
        odd = (b"\xff", b"x", b"100-continue, x", b"200-ok", b"100-continue;q=1", b"100-Continue")
        expected = [b"Expect: " + self._choose.choice(odd)]
        if self._choose.random() < 0.3:
            expected.append(b"Expect: 100-continue")
        version = self._choose.choice((b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0"))
        line = self._choose.choice((b"GET /ping", b"GET /authenticate", b"POST /refresh"))
        return self._head(line, *expected, *self._credential(), version=version)

    def _last(self) -> bytes:
        version, connection = self._choose.choice(
            (
                (b"HTTP/1.0", ()),
                (b"HTTP/1.0", (b"Connection: keep-alive",)),
                (b"HTTP/1.0", (b"Connection: close",)),
                (b"HTTP/1.1", (b"Connection: close",)),
                (b"HTTP/1.1", (b"Proxy-Connection: close",)),
                (b"HTTP/1.1", (b"Connection: close, keep-alive",)),
            )
        )
        line = self._choose.choice((b"GET /ping", b"GET /authenticate", b"HEAD /healthz"))
        return self._head(line, *connection, *self._credential(), version=version)
