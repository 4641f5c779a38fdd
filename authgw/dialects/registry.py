"""All dialects; each has a route."""

from authgw.dialects.base import Dialect
from authgw.dialects.envoy import ENVOY
from authgw.dialects.forwarded import FORWARDED
from authgw.dialects.nginx import NGINX

DIALECTS: tuple[Dialect, ...] = (NGINX, FORWARDED, ENVOY)
