"""The return target of a login, as a query or form contains it."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from authgw.core.redirects import fits, front_page


@dataclass(frozen=True, slots=True)
class ReturnTarget:
    """A return target; `cut` means the front page of its host, because the link was too long."""

    rd: str = ""
    cut: bool = False

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> "ReturnTarget":
        """Return the target that a query or form contains."""
        rd = fields.get("rd", "")
        return cls(rd, bool(fields.get("cut"))) if fits(rd) else cls(front_page(rd), cut=True)

    def after(self, path: str, **more: str) -> str:
        """Return a path of the gateway with this target in its query."""
        fields = {"rd": self.rd, "cut": "yes" if self.cut else "", **more}
        query = "&".join(f"{key}={quote(value, safe='')}" for key, value in fields.items() if value)
        return f"{path}?{query}" if query else path
