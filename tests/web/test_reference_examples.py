"""The commands of curl in docs/reference/http-api.md, run by a shell against a gateway."""

import asyncio
import os
import re
from base64 import b64decode

import pytest

from tests.support.gateway import RunningGateway
from tests.support.processes import ROOT

_PAGE = (ROOT / "docs/reference/http-api.md").read_text()
_EXAMPLE = re.compile(r"^### `(\w+ /[\w./{}-]*)`\n.*?^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
# The pages for browsers need a login host; the tests of the recipes open them.
_FOR_PROGRAMS = _PAGE.partition("## Browsers")[0] + _PAGE.partition("## Operations")[2]
EXAMPLES = dict(_EXAMPLE.findall(_FOR_PROGRAMS))


def test_every_operation_has_an_example() -> None:
    assert len(EXAMPLES) == 12
    assert len(_EXAMPLE.findall(_PAGE)) == _PAGE.count("\n### ")


@pytest.mark.parametrize("operation", EXAMPLES)
async def test_examples_succeed(gateway: RunningGateway, operation: str) -> None:
    tokens = await gateway.login(1)
    credentials = b64decode(gateway.shop["Authorization"].removeprefix("Basic ")).decode()
    address = str(gateway.server.make_url("")).rstrip("/")
    command = re.sub(
        r"https?://(auth\.example\.com|127\.0\.0\.1:8080)", address, EXAMPLES[operation]
    )
    variables = {
        "CLIENT": credentials,
        "ACCESS_TOKEN": tokens["access"],
        "REFRESH_TOKEN": tokens["refresh"],
        "SID": tokens["sid"],
    }
    process = await asyncio.create_subprocess_shell(
        f"{command.rstrip()} --silent --show-error --output /dev/null --write-out '%{{http_code}}'",
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, **variables},
    )
    status, _ = await process.communicate()
    assert status == b"200"
