"""Text that people type or paste, in the one form in which it is compared.

Phones capitalise, word processors put typographic dashes, and what is pasted brings spaces, line
ends and characters that cannot be seen.
"""

import unicodedata

# Zs spaces, Pd dashes, Cf what cannot be seen; the minus sign is a mathematical symbol.
_SEPARATORS = {"Zs", "Pd", "Cf"}
_MINUS = "\N{MINUS SIGN}"


def pasted(text: str) -> str:
    """Return text in its compatible composition (NFKC), without edges and invisible characters."""
    # Without them first: they would keep letters apart that compose.
    visible = "".join(char for char in text if unicodedata.category(char) != "Cf")
    return unicodedata.normalize("NFKC", visible).strip()


def typed_name(text: str) -> str:
    """Return a user name in the spelling that a users file has: composed (NFC), without edges."""
    return unicodedata.normalize("NFC", text).strip()


def likeness(name: str) -> str:
    """Return what remains of a name when case, composition and invisible characters are ignored."""
    return pasted(unicodedata.normalize("NFKC", name).casefold())


def typed_code(text: str) -> str:
    """Return a code without the spaces and dashes that group it."""
    return "".join(
        char
        for char in pasted(text)
        if unicodedata.category(char) not in _SEPARATORS and char != _MINUS
    )
