"""All dialects, each of which has a route, and the headers in which they describe targets."""

from authgw.dialects.base import Dialect
from authgw.dialects.envoy import ENVOY
from authgw.dialects.forwarded import FORWARDED
from authgw.dialects.nginx import NGINX

DIALECTS: tuple[Dialect, ...] = (NGINX, FORWARDED, ENVOY)
# All headers in which a proxy of any dialect describes a request, in the order of the dialects.
TARGET_HEADERS = tuple(
    dict.fromkeys(name for dialect in DIALECTS for name in dialect.target_headers)
)
