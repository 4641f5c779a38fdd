"""`authgw init`: the installation that it writes, its refusals, and its dialog."""

import getpass
import os
import pty
import re
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from click.testing import Result

from authgw.cli import init_dialog
from authgw.identity import users_editor
from authgw.identity.passwords import verify
from authgw.identity.users_file import load_users
from tests.support.processes import AUTHGW, authgw_here, free_port, prepare
from tests.support.proxies import PROXIES, program

PASSWORD = "tuck-vole-brim-seventy"
EXAMPLE = ("--domain", "example.com", "--protect", "app.example.com=127.0.0.1:3000")
LOCALHOST = ("--domain", "localhost", "--protect", "localhost=127.0.0.1:3000")
SEVERAL = (
    *("--domain", "example.localhost", "--protect", "app.example.localhost=127.0.0.1:3000"),
    *("--protect", "wiki.example.localhost=localhost:3001", "--port", "8090"),
)
DOMAINS = {"https": EXAMPLE, "localhost": LOCALHOST, "several": SEVERAL}


def init(folder: Path, *words: str, proxy: str = "nginx", user: str = "alice") -> Result:
    named = ("init", str(folder), "--proxy", proxy, "--user", user)
    return authgw_here(folder.parent, *named, *words)


def made(folder: Path, *words: str, proxy: str = "nginx") -> str:
    done = init(folder, *words, proxy=proxy)
    assert done.exit_code == 0, done.output
    return done.stdout


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def check(name: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the proxy's own test of its configuration."""
    words = {
        "nginx": ["-t", "-p", f"{folder}/", "-c", "nginx.conf", "-e", "stderr"],
        "caddy": ["validate", "--config", str(folder / "Caddyfile")],
        "haproxy": ["-c", "-f", str(folder / "authgw.cfg"), "-f", str(folder / "site.cfg")],
        "envoy": ["--mode", "validate", "-c", str(folder / "envoy.yaml")],
    }[name]
    return subprocess.run(
        [program(name), *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"HOME": str(folder)},
    )


def as_main(folder: Path) -> None:
    """Put a whole NGINX around a site that is for the http block of another NGINX."""
    if not (folder / "nginx.conf").exists():
        main = "pid nginx.pid;\nevents {}\nhttp { include conf.d/*.conf; }\n"
        (folder / "nginx.conf").write_text(main)


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("name", [name for name in PROXIES if name != "traefik"])
def test_the_proxy_accepts_its_files(tmp_path: Path, name: str, domain: str) -> None:
    made(tmp_path / "site", *DOMAINS[domain], proxy=name)
    folder = tmp_path / "site" / name
    if name == "nginx":
        as_main(folder)
    done = check(name, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not re.search(r"\[(warn|WARNING|emerg|ALERT)\]", done.stdout + done.stderr)


@pytest.mark.parametrize("domain", DOMAINS)
def test_traefik_accepts_its_files(tmp_path: Path, domain: str) -> None:
    made(tmp_path / "site", *DOMAINS[domain], proxy="traefik")
    static = tmp_path / "site" / "traefik" / "traefik.yml"
    text = re.sub(r':(80|443|4000)"', lambda _: f':{free_port()}"', static.read_text())
    assert text != static.read_text()
    static.write_text(f"{text}\nlog: {{level: INFO}}\n")
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [program("traefik"), f"--configFile={static}"], stdout=log, stderr=log
        )
    try:
        for _ in range(100):
            time.sleep(0.05)
            if "Starting provider *file.Provider" in (tmp_path / "log").read_text():
                break
        time.sleep(0.3)
        assert process.poll() is None
        said = (tmp_path / "log").read_text()
        # Without the Internet no certificate is got.
        lines = [line for line in said.splitlines() if re.search(r" (ERR|WRN|FTL) ", line)]
        assert [line for line in lines if "acme" not in line.lower()] == []
        assert "Starting provider *file.Provider" in said
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.parametrize("domain", DOMAINS)
def test_check_and_doctor_find_nothing(tmp_path: Path, domain: str) -> None:
    made(tmp_path / "site", *DOMAINS[domain])
    checked = authgw_here(tmp_path / "site", "config", "check")
    assert (checked.exit_code, checked.stderr) == (0, "")
    ports = {"AUTHGW_SERVER__PORT": str(free_port()), "AUTHGW_METRICS__PORT": str(free_port())}
    doctor = authgw_here(tmp_path / "site", "doctor", **ports)
    assert doctor.exit_code == 0, doctor.output
    assert {line.split()[0] for line in doctor.output.splitlines()} == {"ok"}


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_doctor_finds_nothing_in_the_site(tmp_path: Path, domain: str) -> None:
    made(tmp_path / "site", *DOMAINS[domain])
    as_main(tmp_path / "site" / "nginx")
    words = ["-T", "-p", f"{tmp_path / 'site' / 'nginx'}/", "-c", "nginx.conf", "-e", "stderr"]
    dump = subprocess.run([program("nginx"), *words], capture_output=True, check=True)
    (tmp_path / "dump").write_bytes(dump.stdout)
    doctor = authgw_here(tmp_path / "site", "doctor", "--nginx", str(tmp_path / "dump"))
    assert (doctor.exit_code, doctor.stderr) == (0, ""), doctor.output


def test_the_recipe_is_that_of_the_command(tmp_path: Path) -> None:
    made(tmp_path / "site", *SEVERAL)
    again = prepare(tmp_path / "site", "nginx", "write", "nginx/authgw")
    assert again == "nginx/authgw is up to date.\n"


def test_the_files_of_an_installation(tmp_path: Path) -> None:
    output = made(tmp_path / "site", *EXAMPLE)
    site = tmp_path / "site"
    config = yaml.safe_load((site / "config.yml").read_text())
    assert config["login"] == {
        "url": "https://auth.example.com/login",
        "cookie_domain": "example.com",
        "default_redirect": "https://app.example.com/",
    }
    assert config["rules"] == [{"host": "app.example.com", "allow": "authenticated"}]
    password = re.search(r"Password of alice, shown only now: (\S+)\n", output)
    assert password
    assert verify(load_users(site / "users.yml")["alice"].password, password[1])
    (key,) = (site / "secrets" / "keys").glob("*.pem")
    for secret in (key, site / "users.yml", site / "tls" / "example.com.key"):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert not list(site.rglob(".*"))
    left = output.partition("Two things are left to do:")[2]
    assert "1. Point the DNS names auth.example.com and app.example.com at this machine" in left
    assert f"sudo cp -r {site}/nginx/authgw {site}/nginx/conf.d /etc/nginx/" in left
    assert f"authgw --config {site}/config.yml serve" in left


def test_a_password_is_read_from_standard_input(tmp_path: Path) -> None:
    words = ("init", "--proxy", "caddy", "--user", "alice", "--password-stdin", *EXAMPLE)
    done = authgw_here(tmp_path, *words, stdin=f"{PASSWORD}\n")
    assert done.exit_code == 0, done.output
    assert verify(load_users(tmp_path / "users.yml")["alice"].password, PASSWORD)
    assert "Password" not in done.output


def test_the_password_of_the_store_is_in_a_file_of_its_own(tmp_path: Path) -> None:
    made(tmp_path / "site", *EXAMPLE, "--store", "redis://:s3cret%21@127.0.0.1:6379/0")
    config = (tmp_path / "site" / "config.yml").read_text()
    assert 'url: "redis://127.0.0.1:6379/0"' in config
    assert "s3cret" not in config
    assert (tmp_path / "site" / "secrets" / "store-password").read_text() == "s3cret!\n"
    assert authgw_here(tmp_path / "site", "config", "check").exit_code == 0


REFUSED = [
    (("--domain", "co.uk"), "'--domain': co.uk is a public suffix"),
    (("--domain", "https://example.com"), "'--domain': leave out https://"),
    (("--protect", "app.example.com=127.0.0.1"), "'--protect': 127.0.0.1 has no port"),
    (("--protect", "*.example.com=127.0.0.1:1"), "'--protect': *.example.com is a wildcard"),
    (("--protect", "app.other.com=127.0.0.1:1"), "'--protect': app.other.com is not below"),
    (("--store", "redis://"), "'--store': redis:// has a server without a host"),
    (("--store", "mysql://x"), "'--store': mysql://x is not the URL of a store"),
    (("--user", "a:b"), "'--user': a user name contains `:`"),
    (("--port", "0"), "'--port': 0 is not in the range"),
    (("--port", "9090"), "'--port': 9090 is the port of the gateway's metrics"),
    (("--proxy", "apache"), "'--proxy': 'apache' is not one of"),
    (("--service", "docker"), "'--service': 'docker' is not one of"),
]


@pytest.mark.parametrize(
    ("words", "message"), REFUSED, ids=[" ".join(words) for words, _ in REFUSED]
)
def test_a_wrong_option_is_refused(tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    done = init(tmp_path / "site", *EXAMPLE, *words)
    assert done.exit_code == 2
    assert f"Error: Invalid value for {message}" in " ".join(done.stderr.split())
    assert not (tmp_path / "site").exists()


def test_without_a_terminal_the_missing_options_are_named(tmp_path: Path) -> None:
    done = authgw_here(tmp_path, "init", "--domain", "example.com")
    assert done.exit_code == 2
    assert "no terminal to ask for it: give --proxy, --protect, --user" in done.stderr


def test_no_configuration_is_read(tmp_path: Path) -> None:
    done = authgw_here(tmp_path, "--config", "x.yml", "init", "site", "--user", "alice", *EXAMPLE)
    assert (done.exit_code, "init reads no --config" in done.stderr) == (2, True)


def test_a_weak_password_writes_nothing(tmp_path: Path) -> None:
    words = ("init", "site", "--proxy", "nginx", "--user", "alice", "--password-stdin", *EXAMPLE)
    done = authgw_here(tmp_path, *words, stdin="alice\n")
    assert (done.exit_code, "The password is too short" in done.stderr) == (1, True)
    assert files(tmp_path) == {}


def test_a_directory_that_a_proxy_cannot_be_told_is_refused(tmp_path: Path) -> None:
    done = init(tmp_path / "my site", *EXAMPLE)
    assert (done.exit_code, "choose a DIRECTORY whose path has only" in done.stderr) == (1, True)


@pytest.mark.parametrize("name", ["config.yml", "users.yml"])
def test_an_installation_is_not_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / name).write_text("# mine\n")
    done = init(tmp_path / "site", *EXAMPLE)
    assert done.exit_code == 1
    assert f"{tmp_path}/site has {name} already: nothing was written." in done.stderr
    assert files(tmp_path / "site") == {name: b"# mine\n"}


def test_an_installation_is_found_before_a_password_is_chosen(tmp_path: Path) -> None:
    (tmp_path / "config.yml").touch()
    words = ("init", "--proxy", "nginx", "--user", "alice", "--password-stdin", *EXAMPLE)
    done = authgw_here(tmp_path, *words, stdin="alice\n")
    assert "has config.yml already" in done.stderr


def test_a_file_of_a_proxy_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "site" / "caddy").mkdir(parents=True)
    (tmp_path / "site" / "caddy" / "Caddyfile").write_text("# mine\n")
    done = init(tmp_path / "site", *EXAMPLE, proxy="caddy")
    assert "has caddy/Caddyfile already: nothing was written." in done.stderr
    assert files(tmp_path / "site") == {"caddy/Caddyfile": b"# mine\n"}


def test_force_keeps_users_keys_and_certificates(tmp_path: Path) -> None:
    made(tmp_path / "site", *EXAMPLE)
    before = files(tmp_path / "site")
    more = ("--protect", "wiki.example.com=127.0.0.1:3001", "--force")
    output = made(tmp_path / "site", *EXAMPLE, *more)
    after = files(tmp_path / "site")
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {"config.yml", "nginx/conf.d/authgw.conf"}
    assert "alice is in users.yml already, and keeps the password." in output
    done = init(tmp_path / "site", *EXAMPLE, "--force", user="bob")
    assert done.exit_code == 0
    assert list(load_users(tmp_path / "site" / "users.yml")) == ["alice", "bob"]


def test_an_error_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(users_editor, "add", fail)
    done = init(tmp_path / "site", *EXAMPLE)
    assert (done.exit_code, "No space left on device" in done.stderr) == (1, True)
    assert not (tmp_path / "site").exists()


class Terminal:
    """A terminal in which a command runs, and what is typed there."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.process, self.output = 0, ""
        pid, self._terminal = pty.fork()
        if pid == 0:
            os.chdir(folder)
            os.execv(AUTHGW, [str(AUTHGW), *words])  # noqa: S606  the command under test
        self.process = pid

    def expect(self, text: str) -> None:
        """Wait for this text after that of the call before."""
        while text not in self.output:
            try:
                self.output += os.read(self._terminal, 4096).decode()
            except OSError:
                pytest.fail(f"no {text!r} in {self.output!r}")
        self.output = self.output.partition(text)[2]

    def type(self, text: str) -> None:
        os.write(self._terminal, f"{text}\n".encode())

    def rest(self) -> str:
        """Return what is written until the end."""
        while True:
            try:
                self.output += os.read(self._terminal, 4096).decode()
            except OSError:
                os.close(self._terminal)
                assert os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1]) == 0, self.output
                return self.output


def test_the_dialog(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "init")
    terminal.expect("Proxy (nginx, caddy, traefik, haproxy, envoy)")
    terminal.type("caddy")
    terminal.expect("Your domain, or localhost to try authgw on this machine [localhost]:")
    terminal.type("github.io")
    terminal.expect("Error: github.io is a public suffix")
    terminal.type("example.com")
    terminal.expect("address of its app [app.example.com=127.0.0.1:3000]:")
    terminal.type("")
    terminal.expect("Another (or Enter to go on):")
    terminal.type("wiki.example.com=127.0.0.1")
    terminal.expect("Error: 127.0.0.1 has no port")
    terminal.type("wiki.example.com=127.0.0.1:3001")
    terminal.expect("Another")
    terminal.type("")
    terminal.expect("First user [")
    terminal.type("alice")
    terminal.expect("Session store [sqlite]:")
    terminal.type("")
    terminal.expect("Service (systemd, compose, none) [none]:")
    terminal.type("")
    terminal.expect("Password of alice:")
    terminal.type("alice")
    terminal.expect("Repeat:")
    terminal.type("alice")
    terminal.expect("Error: The password is too short")
    terminal.expect("Password of alice:")
    terminal.type(PASSWORD)
    terminal.expect("Repeat:")
    terminal.type(PASSWORD)
    said = terminal.rest()
    assert "Two things are left to do:" in said
    assert PASSWORD not in said
    assert verify(load_users(tmp_path / "users.yml")["alice"].password, PASSWORD)
    rules = yaml.safe_load((tmp_path / "config.yml").read_text())["rules"]
    assert [rule["host"] for rule in rules] == ["app.example.com", "wiki.example.com"]


def test_the_dialog_asks_only_for_what_is_missing(tmp_path: Path) -> None:
    words = ("init", "--proxy", "nginx", "--user", "alice", "--domain", "localhost")
    terminal = Terminal(tmp_path, *words)
    terminal.expect("address of its app [localhost=127.0.0.1:3000]:")
    terminal.type("")
    for question in ("Password of alice:", "Repeat:"):
        terminal.expect(question)
        terminal.type(PASSWORD)
    assert "Two things are left to do:" in terminal.rest()


@pytest.mark.parametrize(
    ("installed", "expected"), [({"haproxy"}, "haproxy"), (set(), "nginx"), ({"caddy"}, "caddy")]
)
def test_the_proposed_proxy_is_installed(
    monkeypatch: pytest.MonkeyPatch, installed: set[str], expected: str
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: name if name in installed else None)
    assert init_dialog._installed_proxy() == expected


@pytest.mark.parametrize(
    ("account", "expected"), [("root", "admin"), ("zoe", "zoe"), ("a:b", "admin")]
)
def test_the_proposed_user_is_the_account(
    monkeypatch: pytest.MonkeyPatch, account: str, expected: str
) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: account)
    assert init_dialog._account_name() == expected


def test_the_program_of_a_unit_exists() -> None:
    assert AUTHGW.samefile(Path(sys.executable).with_name("authgw"))
