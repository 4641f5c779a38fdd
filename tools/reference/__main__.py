"""`python -m tools.reference --write`: generate the parts of docs/reference anew."""

import sys

from tools.reference.pages import fresh, pages


def main() -> int:
    """Write the pages with `--write`, else report those that differ from the code."""
    outdated = [page for page in pages() if page.read_text(encoding="utf-8") != fresh(page)]
    for page in outdated:
        if "--write" in sys.argv[1:]:
            page.write_text(fresh(page), encoding="utf-8")
        print(page)
    return 1 if outdated and "--write" not in sys.argv[1:] else 0


if __name__ == "__main__":
    raise SystemExit(main())
