"""`authgw config show` and `schema`: their output."""

import json
from pathlib import Path

import yaml

from authgw.config.json_schema import config_schema
from tests.support.processes import authgw_here, prepare

CONFIG = "server: {port: 9000}\ncache: {url: 'redis://me:hidden@redis/0'}\n"


def test_show_as_text(tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text(CONFIG)
    output = prepare(tmp_path, "config", "show", AUTHGW_LOGGING__MODE="json")
    lines = dict(line.rsplit("  # ", 1) for line in output.splitlines())
    sources = {text.rstrip(): source for text, source in lines.items()}
    assert sources["server.port: 9000"] == "config.yml:1"
    assert sources["logging.mode: json"] == "AUTHGW_LOGGING__MODE"
    assert sources["cache.url: redis://me:********@redis/0"] == "config.yml:2"
    assert sources["auth.access_lifetime: 15m"] == "default"
    # Each line is YAML, with the source as a comment.
    read = yaml.safe_load(output)
    assert read["server.trusted_proxies"] == ["127.0.0.0/8", "::1/128"]
    assert "hidden" not in output


def test_show_as_json(tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text(CONFIG)
    rows = json.loads(prepare(tmp_path, "config", "show", "--json"))
    assert {"key": "server.port", "value": 9000, "source": "config.yml:1"} in rows
    assert {"key": "server.drain", "value": "20s", "source": "default"} in rows


def test_show_refuses_a_wrong_configuration(tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text("server: {port: 0}\n")
    done = authgw_here(tmp_path, "config", "show")
    assert (done.exit_code, "config.yml:1: server.port" in done.stderr) == (1, True)


def test_the_schema_needs_no_configuration(tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text("server: {port: 0}\n")
    assert json.loads(prepare(tmp_path, "config", "schema")) == config_schema()
