"""Groups in rules, compared with those of the users file and of identity providers."""

from pathlib import Path

import pytest

from authgw.doctor import lint
from authgw.identity.passwords import DUMMY_HASH
from tests.support.config import loaded

CONFIG = """
login:
  url: https://auth.example.com/login
  providers:
    company:
      issuer: https://id.example.com
      client_id: authgw
      client_secret_file: secret
      accept: linked
      groups: {groups}
rules:
  - {{host: app.example.com, allow: "group:{group}"}}
"""


@pytest.mark.parametrize(
    ("groups", "group", "meant"),
    [
        ('{prefix: "kc:"}', "kc:staff", ""),
        ("{claim: groups}", "company:staff", ""),
        ("{map: {idp-admins: admins}}", "admins", ""),
        ("{map: {idp-admins: admins}}", "admin", "admins"),
        ('{prefix: "kc:"}', "staf", "staff"),
    ],
)
def test_groups_of_a_provider_are_no_typing_mistakes(
    tmp_path: Path, groups: str, group: str, meant: str
) -> None:
    (tmp_path / "users.yml").write_text(f"alice: {{password: '{DUMMY_HASH}', groups: [staff]}}\n")
    config = loaded(tmp_path, CONFIG.format(groups=groups, group=group))
    found = [message.partition("did you mean group:")[2] for message in lint.unknown_groups(config)]
    assert found == ([f"{meant}?"] if meant else [])
