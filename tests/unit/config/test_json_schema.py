"""The JSON Schema of the configuration accepts what the gateway accepts, as editors read it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from authgw.config.environment import known_variables
from authgw.config.json_schema import config_schema
from authgw.config.loader import ConfigError, load
from authgw.setup.answers import Answers, ProtectedApp, PublicDomain
from authgw.setup.config_file import render_config

ROOT = Path(__file__).parents[3]
SHIPPED = [ROOT / "config.yml", *sorted(ROOT.glob("examples/*/config.yml"))]
SCHEMA = config_schema()


def read(text: str) -> Any:
    """Read YAML 1.2, as editors do."""
    return YAML(typ="safe").load(text) or {}


def is_valid(text: str) -> bool:
    return bool(Draft202012Validator(SCHEMA).is_valid(read(text)))


def is_loaded(text: str, tmp_path: Path) -> bool:
    (tmp_path / "config.yml").write_text(text)
    try:
        load(tmp_path / "config.yml", {})
    except ConfigError:
        return False
    return True


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(ROOT)))
def test_shipped_configurations_are_valid(path: Path) -> None:
    assert list(Draft202012Validator(SCHEMA).iter_errors(read(path.read_text()))) == []


def test_all_examples_are_among_the_shipped() -> None:
    assert {path.parent.name for path in SHIPPED} >= {"traefik", "caddy", "sso", "systemd"}


def test_the_configuration_of_kubernetes_is_valid() -> None:
    documents = yaml.safe_load_all((ROOT / "examples/kubernetes/authgw.yaml").read_text())
    (text,) = [each["data"]["config.yml"] for each in documents if each["kind"] == "ConfigMap"]
    assert is_valid(text)


def test_the_configuration_of_init_is_valid() -> None:
    app = ProtectedApp("app.example.com", "127.0.0.1", 3000)
    assert is_valid(render_config(Answers("nginx", PublicDomain("example.com"), (app,))))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "login: {product: 2024}",
        "logging: {level: warning}",
        "login: {totp: off}",
        "auth: {open_login: yes, max_sessions: 1}",
        "auth: {access_lifetime: 1h30m, refresh_grace: 0}",
        "cache: {max_staleness: 0, url: 'redis://redis'}",
        "server: {trusted_proxies: '10.0.0.1, ::1', socket: /run/a.sock}",
        "rules: [{allow: anyone, host: '*.example.com', path: /a/**, from: 10.0.0.0/8}]",
        "rules: [{allow: [anyone], method: [GET, HEAD], encoded: slash, credentials: bearer}]",
        "login: {domains: [{url: 'https://auth.example.com/login'}]}",
        "login: {url: }",
    ],
)
def test_what_the_gateway_accepts_is_valid(text: str, tmp_path: Path) -> None:
    assert is_loaded(text, tmp_path)
    assert is_valid(text)


@pytest.mark.parametrize(
    "text",
    [
        "sever: {port: 8080}",
        "server: {prot: 8080}",
        "server: {port: 0}",
        "server: {port: 65536}",
        "server: {port: '8080'}",
        "server: 8080",
        "rules: []",
        "rules: [{alow: anyone}]",
        "rules: [{allow: anyone, hots: x}]",
        "rules: [{allow: []}]",
        "rules: [{host: app.example.com}]",
        "rules: [{allow: anyone, preflight: deny}]",
        "logging: {level: warn}",
        "auth: {access_lifetime: 900}",
        "auth: {access_lifetime: 15min}",
        "auth: {access_lifetime: 0}",
        "auth: {open_login: 1}",
        "auth: {passwords: {min_length: 0}}",
        "auth: {issuer: ''}",
        "login: {domains: [{uri: x}]}",
    ],
)
def test_what_the_gateway_refuses_is_not_valid(text: str, tmp_path: Path) -> None:
    assert not is_loaded(text, tmp_path)
    assert not is_valid(text)


def test_every_key_and_its_default_is_in_the_schema() -> None:
    for variable in known_variables().values():
        schema, place = SCHEMA, ""
        for name in variable.path:
            schema = schema["properties"][name]
            place = schema.get("$ref", "").rpartition("/")[2]
            schema = SCHEMA["$defs"][place] if place else schema
        assert place or "default" in schema, variable.path
    lifetime = SCHEMA["$defs"]["AuthSettings"]["properties"]["access_lifetime"]
    assert lifetime["default"] == "15m"


def test_check_jsonschema_accepts_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    program = Path(sys.executable).with_name("check-jsonschema")
    words = ["--schemafile", str(tmp_path / "schema.json"), *map(str, SHIPPED)]
    done = subprocess.run([program, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
