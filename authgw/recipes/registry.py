"""All recipes, by the name of the proxy on the command line."""

from authgw.recipes import caddy, envoy, haproxy, nginx, traefik
from authgw.recipes.rendering import ProxyRecipe

RECIPES = {
    "caddy": ProxyRecipe(
        "Caddy",
        caddy.render_files,
        "/etc/caddy",
        "Test and load it: caddy validate --config /etc/caddy/Caddyfile && caddy reload",
    ),
    "envoy": ProxyRecipe(
        "Envoy",
        envoy.render_files,
        "/etc/envoy",
        "Envoy loads files that it already watches by itself.",
    ),
    "haproxy": ProxyRecipe(
        "HAProxy",
        haproxy.render_files,
        "/etc/haproxy",
        "Test them: haproxy -c -f authgw.cfg -f haproxy.cfg, and reload HAProxy.",
    ),
    "nginx": ProxyRecipe(
        "NGINX",
        nginx.render_files,
        "/etc/nginx/authgw",
        "Test and load them: nginx -t && nginx -s reload",
    ),
    "traefik": ProxyRecipe(
        "Traefik",
        traefik.render_files,
        "/etc/traefik",
        "Traefik loads dynamic/authgw.yml by itself if its file provider watches that directory.",
    ),
}
