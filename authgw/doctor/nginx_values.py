"""Classifies NGINX variables by the origin of their value: server, recipe or client."""

import re

from authgw.config.schema import HeaderSettings

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_CLIENT_CONTROLLED = re.compile(
    r"http_\w+|arg_\w+|args|query_string|cookie_\w+|request_body|is_args|\d"
)
_SESSION = re.compile(r"http_cookie|cookie_(?:__host_|__secure_)?authgw\w*", re.IGNORECASE)
_SERVER_CONTROLLED_NAMES = """
    binary_remote_addr connection host hostname https msec nginx_version pid protocol proxy_host
    proxy_port proxy_protocol_addr proxy_protocol_server_addr proxy_protocol_server_port
    realpath_root document_root remote_addr remote_port request_id request_length request_method
    scheme server_addr server_name server_port server_protocol ssl_cipher ssl_client_fingerprint
    ssl_client_serial ssl_client_s_dn ssl_client_i_dn ssl_client_verify ssl_protocol ssl_server_name
    time_iso8601 time_local authgw_authority authgw_connection authgw_port authgw_scheme
    authgw_upgrade authgw_https
"""
_CLAIMS = {f"authgw_{claim}" for claim in HeaderSettings.model_fields}
_SERVER_CONTROLLED = frozenset(_SERVER_CONTROLLED_NAMES.split()) | _CLAIMS


def variables_in(text: str) -> list[str]:
    """Return the names of the variables in a value, in lower case as NGINX reads them."""
    return [(braced or plain).lower() for braced, plain in _VARIABLE.findall(text)]


def is_literal(text: str) -> bool:
    """Return True if the value is the same for every request."""
    return not variables_in(text)


def is_server_controlled(text: str) -> bool:
    """Return True if clients cannot influence any part of the value."""
    return all(name in _SERVER_CONTROLLED for name in variables_in(text))


def is_client_controlled(text: str) -> bool:
    """Return True if a client can choose a part of the value."""
    names = variables_in(text)
    return any(
        name == "proxy_add_x_forwarded_for" or _CLIENT_CONTROLLED.fullmatch(name) for name in names
    )


def holds_session(text: str) -> bool:
    """Return True if the value can contain a session cookie of the gateway."""
    return any(_SESSION.fullmatch(name) for name in variables_in(text))
