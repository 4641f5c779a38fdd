"""Cases of sites that lack a part of the recipe or contradict the configuration."""

from tests.support.doctor_cases import DumpCase, identity, in_location, in_server

_LOGIN = "login: {url: 'http://localhost:4000/login'}\n"
_LINKS = (
    "login: {url: 'http://localhost:4000/login', self_service: [link], providers: {company: "
    "{issuer: 'https://id.example.com', client_id: a, client_secret_file: b, accept: linked}}}\n"
)

INCOMPLETE = {
    "no auth_request": DumpCase(
        "site.conf",
        "server {\n    listen 4000;\n",
        "server {\n    listen 4000;\n    server_name b;\n    location / {\n"
        "        include authgw/identity.conf;\n        proxy_pass http://sample;\n    }\n}\n"
        "server {\n    listen 4000;\n",
        "passes requests on without a check by the gateway. In its server add",
    ),
    "no identity": DumpCase(
        "site.conf",
        "include authgw/identity.conf;",
        "",
        "sends no identity: a client's own Remote-User would arrive.",
    ),
    "own proxy_set_header": DumpCase(
        "site.conf",
        "location / {\n        include authgw/identity.conf;",
        "include authgw/identity.conf;\n    location / {\n        proxy_set_header X-A b;",
        "location / has a proxy_set_header of its own, which discards ours",
    ),
    "own error_page": in_location(
        "error_page 404 /none;", "location / has an error_page of its own", "fault"
    ),
    "satisfy any": in_location("satisfy any; allow 127.0.0.0/8;", "satisfy any allows what either"),
    "error_page to the app": in_server(
        "location @anybody { auth_request off;\n"
        "        include authgw/identity.conf; proxy_pass http://sample; }\n"
        "    location /x/ { error_page 401 403 = @anybody;\n"
        "        include authgw/identity.conf; proxy_pass http://sample; }",
        "sends refused requests to @anybody",
    ),
    "no X-Forwarded-For": DumpCase(
        "authgw/question.conf",
        "proxy_set_header X-Forwarded-For $remote_addr;",
        "",
        "lets clients choose the address",
    ),
    "a decoded path": DumpCase(
        "site.conf",
        "proxy_pass http://sample;",
        "proxy_pass http://sample$uri$is_args$args;",
        "sends the path decoded",
    ),
    "the client's identity": identity(
        "proxy_set_header Remote-User $authgw_user;",
        "proxy_set_header Remote-User $remote_user;",
        "sends Remote-User $remote_user, which no auth_request_set takes",
    ),
    "an identity that is not set there": in_location(
        "auth_request_set $mine $upstream_http_remote_user;",
        "has an auth_request_set of its own, which discards those of protect.conf",
        "fault",
    ),
    "any upgrade": identity(
        "proxy_set_header Upgrade $authgw_upgrade;",
        "proxy_set_header Upgrade $http_upgrade;",
        "passes every upgrade on",
    ),
    "underscores": DumpCase(
        "site.conf",
        "    client_max_body_size 100m;",
        "    underscores_in_headers on;",
        "other spellings of our headers reach apps",
    ),
    "return": DumpCase(
        "site.conf",
        "        proxy_pass http://sample;",
        "        return 200 hello;",
        "return 200 hello responds before the check by the gateway",
    ),
    "return in if": in_location(
        "if ($arg_x) { return 204; }", "return 204 responds before the check by the gateway"
    ),
    "rewrite that redirects": in_location(
        "rewrite ^/old /new permanent;",
        "rewrite ^/old /new permanent responds before the check by the gateway",
    ),
    "no X-Original-URL": DumpCase(
        "authgw/question.conf",
        "proxy_set_header X-Original-URL $authgw_scheme://$authgw_authority$request_uri;",
        "",
        "add to it: proxy_set_header x-original-url "
        "$authgw_scheme://$authgw_authority$request_uri;",
    ),
    "the older X-Original-URL": DumpCase(
        "authgw/question.conf",
        "$authgw_scheme://$authgw_authority$request_uri",
        "$scheme://$http_host$request_uri",
        "is of an older recipe: $http_host is empty over HTTP/3",
        "fault",
    ),
    "X-Original-Host of the client": DumpCase(
        "authgw/question.conf",
        "proxy_set_header X-Original-Host $host;",
        "proxy_set_header X-Original-Host $http_host;",
        "does not send X-Original-Host as the gateway needs it",
    ),
    "no X-Original-Method": DumpCase(
        "authgw/question.conf",
        "proxy_set_header X-Original-Method $request_method;",
        "",
        "proxy_set_header X-Original-Method $request_method;",
    ),
    "URI part": DumpCase(
        "site.conf",
        "proxy_pass http://sample;",
        "proxy_pass http://sample/;",
        "proxy_pass http://sample/ has a URI part",
    ),
    "a check that is not internal": DumpCase(
        "authgw/protect.conf", "internal;\n    proxy_pass", "proxy_pass", "internal;"
    ),
    "no persistent connections": DumpCase(
        "authgw/question.conf",
        "proxy_http_version 1.1;",
        "",
        "location /_authgw opens a connection",
        "fault",
    ),
    "upstream without keepalive": DumpCase(
        "authgw/upstream.conf",
        "    keepalive 128;\n    keepalive_requests 100000;\n",
        "",
        "upstream authgw keeps no connections. Add to it: keepalive 128;",
        "fault",
    ),
    "public without identity": in_server(
        "location /public/ { auth_request off; proxy_pass http://sample; }",
        "location /public/ sends no identity",
    ),
}

MISMATCHES = {
    "no gateway.conf": DumpCase(
        "site.conf",
        "    include authgw/gateway.conf;\n",
        "",
        "does not publish the gateway, so that no user can log in. In it, after protect.conf, "
        "add: include authgw/gateway.conf;",
        "problem",
        config=_LOGIN,
    ),
    "no gateway.conf before login-host.conf": DumpCase(
        "site.conf",
        "    include authgw/gateway.conf;\n\n    location / {\n",
        "    include authgw/login-host.conf;\n    location /app/ {\n",
        "does not publish the gateway, so that no user can log in.",
        "problem",
        config=_LOGIN,
    ),
    "no login-host.conf": DumpCase(
        "site.conf",
        "    location / {\n",
        "    location /app/ {\n",
        "/ on the host of login.url http://localhost:4000/login is NGINX's own page, not the "
        "account page. After gateway.conf, add: include authgw/login-host.conf;",
        "fault",
        config=_LOGIN,
    ),
    "a login page on another host": DumpCase(
        "site.conf",
        "client_max_body_size",
        "client_body_timeout 9s; client_max_body_size",
        "no server here serves auth.example.com",
        "not checked",
        config="login: {url: 'https://auth.example.com/login'}\n",
    ),
    "a location that hides the login page": DumpCase(
        "site.conf",
        "    location / {\n",
        "    location ^~ /login { include authgw/identity.conf; proxy_pass http://sample; }\n"
        "    location / {\n",
        "it receives the passwords and tokens of users who log in",
        "problem",
        config=_LOGIN,
    ),
    "an app on the host of linked accounts": DumpCase(
        "site.conf",
        "client_max_body_size",
        "client_body_timeout 9s; client_max_body_size",
        "location / leads to an app on the host of login.url http://localhost:4000/login, whose "
        "scripts could link accounts to its users (login.self_service)",
        config=_LINKS,
    ),
    "a recipe of a previous version": DumpCase(
        "authgw/gateway.conf",
        "/login/oidc/[a-z0-9-]+/callback|",
        "",
        "takes /login/oidc/{name}/callback from the gateway",
        "problem",
        config=_LOGIN,
    ),
    "paths for backends published": DumpCase(
        "authgw/gateway.conf",
        "/refresh)$",
        "/refresh|/revoke|/readyz)$",
        "publishes /revoke, /readyz, which are for backends, operators or proxies only",
    ),
    "no default server": DumpCase(
        "site.conf",
        "server {\n    listen 4000 default_server;\n    return 421;\n}\n",
        "",
        "a Host that no server_name has reaches this server, the first server of *:4000",
        "fault",
    ),
    "another default server": DumpCase(
        "site.conf",
        "    return 421;\n",
        "    include authgw/protect.conf;\n    location / {\n"
        "        include authgw/identity.conf; proxy_pass http://sample;\n    }\n",
        "the default_server of *:4000",
        "fault",
    ),
    "another port": DumpCase(
        "authgw/upstream.conf",
        "127.0.0.1:8080",
        "127.0.0.1:8088",
        "NGINX connects to port 8088, and the configuration has server.port 8080",
    ),
    "another port in the configuration": DumpCase(
        "site.conf",
        "client_max_body_size",
        "client_body_timeout 9s; client_max_body_size",
        "NGINX connects to port 8080, and the configuration has server.port 9000",
        config="server: {port: 9000}\n",
    ),
    "a socket that is not configured": DumpCase(
        "authgw/upstream.conf",
        "127.0.0.1:8080",
        "unix:/run/authgw.sock",
        "NGINX connects to unix:/run/authgw.sock, and the configuration has no",
    ),
    "another socket": DumpCase(
        "authgw/upstream.conf",
        "127.0.0.1:8080",
        "unix:/run/authgw.sock",
        "has server.socket /run/other.sock",
        config="server: {socket: /run/other.sock}\n",
    ),
}
