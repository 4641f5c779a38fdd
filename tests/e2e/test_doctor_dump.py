"""Dumps of real NGINX versions, parsed as a tree with includes resolved."""

import re
from pathlib import Path

import pytest

from authgw.doctor.nginx_parser import Block, NginxDumpError, parse_dump
from tests.support.doctor import dump_of
from tests.support.nginx_versions import NGINXES

# The files of each tree, accepted by `nginx -T`, and its directives in NGINX's order.
TREES = {
    "two includes on a line": (
        {
            "nginx.conf": "events {} http { include a.conf; include b.conf; }",
            "a.conf": "server_tokens off;",
            "b.conf": "etag off;",
        },
        ["server_tokens off", "etag off"],
    ),
    "quoted names with spaces": (
        {
            "nginx.conf": "events {}\nhttp { include \"a b.conf\"; include 'c d/e.conf'; }\n",
            "a b.conf": "server_tokens off;\n",
            "c d/e.conf": "etag off;\n",
        },
        ["server_tokens off", "etag off"],
    ),
    "a quoted directive, and quotes in names": (
        {
            "nginx.conf": 'events {}\nhttp { "include" \'a"b.conf\'; include "c\\"d.conf"; }\n',
            'a"b.conf': "server_tokens off;\n",
            'c"d.conf': "etag off;\n",
        },
        ["server_tokens off", "etag off"],
    ),
    "includes in comments and strings": (
        {
            "nginx.conf": "events {} # include x.conf;\nhttp { # include y.conf;\n"
            'server { return 200 "; include z.conf;"; } }\n',
        },
        ["return 200 ; include z.conf;"],
    ),
    "nested, relative to the first file": (
        {
            "nginx.conf": "events {}\nhttp { include sub/a.conf; }\n",
            "sub/a.conf": "include sub/b.conf;\n",
            "sub/b.conf": "include c.conf;\n",
            "c.conf": "etag off;\n",
        },
        ["etag off"],
    ),
    "patterns": (
        {
            "nginx.conf": "events {}\nhttp { include conf.d/*.conf; include [x-z]?/*; "
            "include none/*.conf; include d/[!a]\\*.c; }\n",
            "conf.d/b.conf": "etag off;\n",
            "conf.d/a.conf": "server_tokens off;\n",
            "conf.d/.hidden.conf": "broken\n",
            "conf.d/a.conf.bak": "broken\n",
            "y1/x": "gzip off;\n",
            "y1/X": "sendfile off;\n",
            "d/b*.c": "tcp_nopush off;\n",
            "d/bb.c": "broken\n",
        },
        ["server_tokens off", "etag off", "sendfile off", "gzip off", "tcp_nopush off"],
    ),
    "a file included several times": (
        {
            "nginx.conf": "events {}\nhttp { server { include a.conf; }\n"
            "server { listen 81; location / { include a.conf; include a.conf; } } }\n",
            "a.conf": "add_header X 1;\n",
        },
        ["add_header X 1", "listen 81", "add_header X 1", "add_header X 1"],
    ),
    "lines of a dump in strings and comments": (
        {
            "nginx.conf": "# configuration file {root}/nginx.conf:\n# configuration file /x.conf:\n"
            'events {}\nhttp {\n# configuration file {root}/a.conf:\nserver { return 200 "\n'
            '# configuration file {root}/a.conf:\nserver { "; }\ninclude a.conf; }\n'
            "  # configuration file {root}/a.conf:\n",
            "a.conf": "etag off;",
        },
        ["etag off", "return 200 \n# configuration file {root}/a.conf:\nserver { "],
    ),
    "files without a final newline": (
        {
            "nginx.conf": "events {}\nhttp { include a.conf; include b.conf; } # the end",
            "a.conf": "etag off; # no end",
            "b.conf": "",
        },
        ["etag off"],
    ),
    "includes in a map": (
        {
            "nginx.conf": "events {}\nhttp { map $uri $x { include m.conf; default 1; } "
            "types { include t.conf; } }\n",
            "m.conf": "~^/a(?<b>{2}) $b;\n/c d;\n".replace("{2}", "b"),
            "t.conf": "text/css css;\n",
        },
        ["~^/a(?<b>b) $b", "/c d", "default 1", "text/css css"],
    ),
    "quotes, braces and escapes": (
        {
            "nginx.conf": 'events {}\nhttp { server { location ~ "^/a{1,2}$" { return 200 ${uri}; }'
            "\nadd_header A 'b;{}#' ; add_header\n  C\n  \"d\\\\e\"; } }\r\n",
        },
        ["add_header A b;{}#", "add_header C d\\e", "return 200 ${uri}"],
    ),
}


def write_tree(root: Path, files: dict[str, str]) -> None:
    """Write the files of a tree; `{root}` in a text is replaced by the tree's path."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("{root}", str(root)))


def directives(block: Block) -> list[str]:
    """Return all directives of a tree: those of a block, then those of its children."""
    inner = [text for below in block.children for text in directives(below)]
    return [*(str(each) for each in block.directives), *inner]


@pytest.mark.parametrize("nginx", ["system", "wheel"])
@pytest.mark.parametrize("name", TREES)
def test_tree_equals_that_of_nginx(tmp_path: Path, name: str, nginx: str) -> None:
    files, expected = TREES[name]
    root = tmp_path / "a folder"
    write_tree(root, files)
    here = [text.replace("{root}", str(root)) for text in expected]
    assert directives(parse_dump(dump_of(root, NGINXES[nginx]()))) == here
    relative = dump_of(root, NGINXES[nginx](), "-p", ".")
    assert directives(parse_dump(relative)) == here


@pytest.mark.parametrize("nginx", ["system", "wheel"])
def test_file_and_line_of_each_directive(tmp_path: Path, nginx: str) -> None:
    files = {
        "nginx.conf": "events {}\nhttp {\n\n  include a.conf;\n  etag off;\n}\n",
        "a.conf": "# a\nserver {\n  listen\n    81;\n\n  location / { add_header X '\n'; }\n}\n",
    }
    write_tree(tmp_path, files)
    top = parse_dump("nginx: the configuration file is ok\n" + dump_of(tmp_path, NGINXES[nginx]()))
    places = {
        str(each): (Path(each.file).name, each.line)
        for block in top.walk()
        for each in block.directives
    }
    assert places == {
        "etag off": ("nginx.conf", 5),
        "listen 81": ("a.conf", 3),
        "add_header X \n": ("a.conf", 6),
    }
    location = next(block for block in top.walk() if block.name == "location")
    assert (Path(location.file).name, location.line) == ("a.conf", 6)


REFUSED = {
    "no dump": ("http {}\n", "is not the output of `nginx -T`"),
    "cut off": ("# configuration file /n.conf:\nhttp {\n", 'expecting "}"'),
    "cut off in a directive": ("# configuration file /n.conf:\nuser a", "ends within a directive"),
    "an unmatched brace": ("# configuration file /n.conf:\n}\n", 'unexpected "}"'),
    "a missing file": (
        "# configuration file /e/n.conf:\nhttp {\n include authgw/http.conf; }\n",
        "does not contain /e/authgw/http.conf, which /e/n.conf:2 includes",
    ),
    "a file that includes itself": (
        "# configuration file /n.conf:\ninclude a;\n\n# configuration file /a:\ninclude a;\n",
        "contains /a, which /a:1 includes again",
    ),
    "a file with two headers": (
        "# configuration file /n.conf:\ninclude a;\n# configuration file /a:\n\n"
        "# configuration file /a:\netag off;\n",
        "names /a in its lines 3 and 5",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_invalid_dump_is_refused_in_one_line(name: str) -> None:
    dump, message = REFUSED[name]
    with pytest.raises(NginxDumpError, match=re.escape(message)) as refused:
        parse_dump(dump)
    assert "\n" not in str(refused.value)
