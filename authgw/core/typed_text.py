"""Canonical form of text that users type or paste, for comparison.

Phones capitalise, word processors insert typographic dashes, and pasted text contains spaces, line
ends and invisible characters.
"""

import unicodedata

# Zs: spaces, Pd: dashes, Cf: invisible characters; the minus sign is a mathematical symbol.
_SEPARATORS = {"Zs", "Pd", "Cf"}
_MINUS = "\N{MINUS SIGN}"


def pasted(text: str) -> str:
    """Return text in NFKC, stripped and without invisible characters."""
    # Remove these before normalisation: they would separate letters that compose.
    visible = "".join(char for char in text if unicodedata.category(char) != "Cf")
    return unicodedata.normalize("NFKC", visible).strip()


def typed_name(text: str) -> str:
    """Return a user name in the spelling of the users file: NFC and stripped."""
    return unicodedata.normalize("NFC", text).strip()


def comparison_key(name: str) -> str:
    """Return a name normalised so that case, composition and invisible characters do not matter."""
    if name.isascii():
        # ASCII has neither compositions nor invisible characters of that category.
        return name.lower().strip()
    return pasted(unicodedata.normalize("NFKC", name).casefold())


def typed_code(text: str) -> str:
    """Return a code without the spaces and dashes that group its characters."""
    return "".join(
        char
        for char in pasted(text)
        if unicodedata.category(char) not in _SEPARATORS and char != _MINUS
    )
