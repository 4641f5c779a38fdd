"""Names, codes and secrets in the spellings of phones, password managers and word processors."""

import errno
import unicodedata

import pytest
from aiohttp import encode_basic_auth
from argon2 import PasswordHasher

from authgw.core.limits import PER_PAIR
from authgw.files import atomic
from authgw.identity import users_editor
from authgw.identity.users_file import UsersFileError, load_users
from tests.support.gateway import HASH, PASSWORD, RECOVERY, RunningGateway
from tests.support.login_scene import Jar, code, reload_users

BOB = [
    "bob",
    "Bob",
    "BOB",
    " bob ",
    "bob\n",
    "bo\u200bb",
    "\ufeffbob",
    "\uff42\uff4f\uff42",
    "\u00a0bob",
]


async def by_name(
    running: RunningGateway, user: str, password: str = PASSWORD, totp: str = ""
) -> int:
    body = {"username": user, "password": password, **({"totp": totp} if totp else {})}
    return (await running.post("/login", body)).status


@pytest.mark.parametrize("user", BOB)
async def test_a_typed_name_finds_the_name_in_the_file(jar: Jar, user: str) -> None:
    answer = await jar.log_in(user)
    assert answer.status == 303
    assert (await jar.check()).headers["Remote-User"] == "bob"
    # The device is recognised with any spelling.
    assert (await Jar(jar.running).log_in(user.swapcase())).status == 303
    assert await by_name(jar.running, user) == 200


@pytest.mark.parametrize("user", ["bob2", "b ob", "bo", "b\u0301ob", "bob\x00"])
async def test_a_different_name_is_refused(jar: Jar, user: str) -> None:
    assert await by_name(jar.running, user) == 401


async def test_spellings_share_the_limit_of_attempts(jar: Jar) -> None:
    for spelling in BOB[: PER_PAIR.max_failures]:
        assert await by_name(jar.running, spelling, "wrong password") == 401
    for spelling in BOB:
        assert await by_name(jar.running, spelling) == 429


async def test_spellings_of_an_unknown_name_share_the_limit_of_attempts(jar: Jar) -> None:
    for spelling in ("nobody", "Nobody", "NOBODY", "nobody ", "n\u200bobody"):
        assert await by_name(jar.running, spelling) == 401
    assert await by_name(jar.running, "nObody") == 429


async def test_names_that_differ_only_in_case(jar: Jar) -> None:
    path = jar.running.users.path
    with pytest.raises(UsersFileError, match="bob exists already"):
        users_editor.add(path, "BOB", HASH)
    path.write_text(f"{path.read_text()}Bob:\n  password: {HASH}\n  disabled: true\n")
    await reload_users(jar.running)
    messages = " ".join(jar.running.users.warnings)
    assert "bob and Bob differ only in case" in messages
    assert await by_name(jar.running, "bob") == 200
    assert await by_name(jar.running, "Bob") == 401
    assert await by_name(jar.running, "BOB") == 401


async def test_edits_accept_names_like_the_login(jar: Jar) -> None:
    path = jar.running.users.path
    users_editor.set_disabled(path, " BOB", True)
    assert load_users(path)["bob"].disabled


@pytest.mark.parametrize(
    "typed",
    ["{}", " {}\n", "{:.3} {:.3}", "{}\u00a0", "{}\u200b", "\u2007{}", "{:.3}-{:.3}", "full"],
)
async def test_a_code_is_accepted_in_any_spelling_of_its_digits(jar: Jar, typed: str) -> None:
    now = code()
    wide = "".join(unicodedata.lookup(f"FULLWIDTH DIGIT {_DIGITS[int(digit)]}") for digit in now)
    text = wide if typed == "full" else typed.format(now, now[3:])
    assert await by_name(jar.running, "alice", totp=text) == 200


_DIGITS = ["ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE"]


@pytest.mark.parametrize(
    "change",
    [
        str.upper,
        lambda text: f" {text}\r\n",
        lambda text: text.replace("-", ""),
        lambda text: text.replace("-", " "),
        lambda text: text.replace("-", "–"),  # noqa: RUF001  as word processors replace it
        lambda text: text.replace("-", "\u2212"),
        lambda text: text.replace("-", "\u00a0"),
        lambda text: text.replace("-", "\u200b-\u2060"),
        lambda text: text.replace("0", "O").replace("1", "l"),
    ],
)
async def test_a_recovery_code_is_accepted_in_any_spelling(jar: Jar, change: "type[str]") -> None:
    assert await by_name(jar.running, "alice", totp=change(RECOVERY)) == 200


@pytest.mark.parametrize("around", ["{}", " {}", "{}\n", "\t{} ", "\u200b{}", "\u00a0{}\u00a0"])
@pytest.mark.parametrize("user", ["bob", "Bob", "BOB "])
async def test_an_app_password_may_be_pasted_with_space_around_it(
    jar: Jar, user: str, around: str
) -> None:
    secret = users_editor.add_app_password(jar.running.users.path, "bob", "laptop")
    await reload_users(jar.running)
    pasted = encode_basic_auth(user, around.format(secret), "utf-8")
    answer = await jar.check("https://dav.example.com/dav", Authorization=pasted)
    assert (answer.status, answer.headers.get("Remote-User")) == (200, "bob")


@pytest.mark.parametrize(
    ("kept", "typed", "status"),
    [
        # The gateway hashes NFKC; other programs hash the typed text, or NFC.
        ("ﬁne password ½", "ﬁne password ½", 200),
        ("fine password 1\u20442", "ﬁne password ½", 200),
        ("pässword of bob", "pa\u0308ssword of bob", 200),
        # Nothing is trimmed, and case counts.
        ("password of bob", " password of bob", 401),
        ("password of bob", "password of bob\n", 401),
        ("password of bob", "Password of bob", 401),
        ("password of bob", "password of\u200b bob", 401),
        (" password of bob ", " password of bob ", 200),
    ],
)
async def test_passwords_are_normalised_but_not_trimmed(
    jar: Jar, kept: str, typed: str, status: int
) -> None:
    hashed = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1).hash(kept)
    users_editor.set_password(jar.running.users.path, "bob", hashed)
    await reload_users(jar.running)
    assert await by_name(jar.running, "bob", typed) == status


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every write of the users file as a read-only mount does."""

    def refuse(*_: object, **__: object) -> None:
        raise atomic.FileWriteError(errno.EROFS, "it is on a read-only mount: mount the directory")

    monkeypatch.setattr(users_editor, "write", refuse)


async def test_a_recovery_code_is_refused_if_the_file_cannot_be_written(
    jar: Jar, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue("read_only")
    for _ in range(12):
        await jar.log_in("alice")
        await jar.get("/login/totp")
        answer = await jar.post("/login/totp", code=RECOVERY)
        # A valid code is not a failed attempt.
        assert (answer.status, answer.headers["X-Authgw-Reason"]) == (503, "users_file_unwritable")
        assert not jar.session
    assert "recovery codes cannot be used now, nor links changed" in jar.text.lower()
    assert "session store" not in jar.text
    assert "mount" not in jar.text.replace("says what to mount", "")
    details = [event.detail for event in jar.running.events if event.name == "deny"]
    assert "on a read-only mount: mount the directory" in details[-1]
    body = {"username": "alice", "password": PASSWORD, "totp": RECOVERY}
    program = await jar.running.post("/login", body)
    assert (program.status, (await program.json())["code"]) == (503, "users_file_unwritable")
    # Codes of the authenticator app still work.
    assert await by_name(jar.running, "alice", totp=code()) == 200


OLD = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)


async def test_a_login_renews_an_old_hash_and_nothing_else(jar: Jar) -> None:
    path = jar.running.users.path
    text = f"# the house\nbob:   # he\n  password: '{OLD}'   # old\n  groups: [users]\n# end\n"
    path.write_text(text)
    await reload_users(jar.running)
    assert await by_name(jar.running, "Bob") == 200
    after = path.read_text()
    new = load_users(path)["bob"].password
    assert new != OLD
    assert after.startswith(text.replace(OLD, new).removesuffix("# end\n"))
    assert after.endswith("# end\n")


@pytest.mark.parametrize("reason", ["switched off", "read-only"])
async def test_an_old_hash_stays(
    jar: Jar, reason: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = jar.running.users.path
    users_editor.set_password(path, "bob", OLD)
    await reload_users(jar.running)
    before = path.read_bytes()
    if reason == "read-only":
        request.getfixturevalue("read_only")
    else:
        monkeypatch.setattr(jar.running.serving.gateway.login.service, "_rehash_enabled", False)
    for _ in range(2):
        assert await by_name(jar.running, "bob") == 200
    assert path.read_bytes() == before
