"""Sites with ways around the gateway, and apps that are reached by other modules than proxies."""

from tests.support.doctor_cases import (
    PASS,
    SITE,
    DumpCase,
    in_http,
    in_location,
    in_server,
    public,
    replacing_location,
)

BYPASSES = {
    "a cache shared by users": DumpCase(
        "site.conf",
        PASS,
        f"        proxy_cache kept; proxy_cache_valid 200 1m;\n{PASS}",
        "response of an app to a user is cached and sent to other users",
        more=(("nginx.conf", SITE, "    proxy_cache_path kept keys_zone=kept:1m;\n" + SITE),),
    ),
    "a cache with a key of its own": DumpCase(
        "site.conf",
        PASS,
        f'        proxy_cache kept; proxy_cache_key "$host$request_uri";\n{PASS}',
        "begin proxy_cache_key with $authgw_user",
        more=(("nginx.conf", SITE, "    proxy_cache_path kept keys_zone=kept:1m;\n" + SITE),),
    ),
    "an alias without a slash": in_server(
        "location /files { alias /srv/files/; }", "/files../ leads out of the directory"
    ),
    "a file that the client names": in_server(
        "location /f/ { root /srv; try_files $arg_file =404; }", "a client chooses by $arg_file"
    ),
    "an upstream that the client names": DumpCase(
        "site.conf",
        "proxy_pass http://sample;",
        "proxy_pass http://$arg_to;",
        "a client chooses by $arg_to the server that receives the request",
    ),
    "an upstream by Host": DumpCase(
        "site.conf",
        "proxy_pass http://sample;",
        "proxy_pass http://$host:8081;",
        "a client chooses by $host",
    ),
    "a rewrite to another path": in_location(
        "rewrite ^/app/(.*)$ /$1 break;", "serves another path than the gateway checked"
    ),
    "a rewrite past the gateway": in_server(
        "rewrite ^/x/(.*)$ /inner/$1 last;\n    location /inner/ { internal; auth_request off;\n"
        "        include authgw/identity.conf; proxy_pass http://sample; }",
        "leads, without a check by the gateway, to location /inner/",
    ),
    "a rewrite from public to protected": in_server(
        public("rewrite ^/public/(.*)$ /$1 last;"),
        "and the gateway checks the path before this change",
    ),
    "a rewrite to another site": in_location(
        "rewrite ^ https://example.com/ ;", "responds before the check by the gateway"
    ),
    "a status before the check": in_server(
        "error_page 413 = @large;\n    error_page 401 = @authgw_401;\n"
        "    location @large { auth_request off; include authgw/identity.conf;\n"
        "        proxy_pass http://sample; }",
        "error_page 413 = @large sends refused requests to @large",
    ),
    "files for refused clients": in_server(
        "location @files { auth_request off; root /srv; }\n"
        "    location /f/ { error_page 401 403 500 = @files; proxy_pass http://sample;\n"
        "        include authgw/identity.conf; }",
        "serves them the file",
    ),
    "ssi": in_location("ssi on;", "text of a response can include any location"),
    "a response with a protected body": in_location(
        "add_after_body /admin/menu;", "includes this in responses"
    ),
    "a check in another location": DumpCase(
        "authgw/protect.conf",
        "location = /_authgw {",
        "location ~ ^/_ { auth_request off; return 204; }\nlocation /_authgw {",
        "leads to location ~ ^/_, which is not the gateway: another server there could allow every",
    ),
    "the check without a location": DumpCase(
        "authgw/protect.conf",
        "auth_request /_authgw;",
        "auth_request /_autgw;",
        "which is not the gateway",
    ),
    "a check of another path": DumpCase(
        "authgw/protect.conf",
        "http://authgw/authenticate;",
        "http://authgw/ping;",
        "could allow every request",
    ),
    "a token for all clients": DumpCase(
        "authgw/question.conf",
        'proxy_set_header Expect "";',
        'proxy_set_header Expect "";\nproxy_set_header Authorization "Bearer abc";',
        "every client gets the identity of its owner",
    ),
    "a check that lacks a header": DumpCase(
        "authgw/question.conf",
        'proxy_set_header Expect "";',
        'proxy_set_header Expect "";\nproxy_set_header Destination "";',
        "does not see the client's own Destination",
    ),
    "a check without the client's headers": DumpCase(
        "authgw/question.conf",
        'proxy_set_header Expect "";',
        'proxy_set_header Expect "";\nproxy_pass_request_headers off;',
        "the gateway receives neither cookie nor token",
        "problem",
    ),
    "a cache of checks with a shorter key": DumpCase(
        "authgw/protect.conf",
        r"\n$http_authorization\n$http_cookie",
        "",
        "are cached without $http_authorization in the key",
    ),
    "a cache of checks with a long lifetime": DumpCase(
        "authgw/protect.conf",
        "proxy_cache_valid 200 1s;",
        "proxy_cache_valid 200 10m;",
        "a logout takes effect later",
    ),
    "a cache of checks with stale responses": DumpCase(
        "authgw/protect.conf",
        "proxy_cache_valid 200 1s;",
        "proxy_cache_valid 200 1s; proxy_cache_use_stale error timeout;",
        "an ended session is accepted",
    ),
    "addresses set by all peers": in_http(
        "set_real_ip_from 0.0.0.0/0;", "any client can choose the address"
    ),
    "addresses set by all IPv6 peers": in_http(
        "set_real_ip_from ::/0; real_ip_header X-Forwarded-For;", "any client can choose"
    ),
    "sessions in a log": in_http(
        "log_format all '$remote_addr $http_cookie';", "writes live session cookies to a log"
    ),
    "sessions in a response": in_location(
        "add_header X-Debug $http_cookie;", "passes the session cookie on"
    ),
    "sessions in a path": DumpCase(
        "site.conf",
        "proxy_pass http://sample;",
        "proxy_pass http://sample$request_uri?c=$cookie_authgw;",
        "passes the session cookie on",
    ),
    "a map of the cookie": in_http(
        "map $http_cookie $part { ~x=(?<v>.*) $v; }", "cannot tell", "not checked"
    ),
    "a gateway without the client's Host": DumpCase(
        "authgw/gateway.conf",
        "    proxy_set_header Host $authgw_authority;\n",
        "",
        "does not send the client's Host, so that no user can log in",
        "problem",
    ),
    "a public gateway": in_server(
        "location /gw/ { auth_request off; proxy_pass http://authgw/; }",
        "lets a client's own X-Original-Url reach the gateway",
    ),
    "a page while the gateway is unavailable": in_server(
        "error_page 502 504 = /away.html;\n    error_page 401 = @authgw_401;\n"
        "    location = /away.html { auth_request off; root pages; }",
        "allows every request",
    ),
    "a page of status 200 while the gateway is unavailable": in_server(
        "error_page 500 502 504 =200 /away.html;\n    error_page 401 = @authgw_401;\n"
        "    location = /away.html { auth_request off; root pages; }",
        "allows every request",
    ),
    "a page for refusals of the check": DumpCase(
        "authgw/protect.conf",
        "proxy_cache_valid 200 1s;",
        "proxy_cache_valid 200 1s; proxy_intercept_errors on;",
        "and its status allows the request",
    ),
    "ssi in all servers": in_http("ssi on;", "text of a response can include any location"),
    "a module's input headers": DumpCase(
        "site.conf",
        "        proxy_pass http://sample;\n",
        '        more_set_input_headers "Remote-User: root";\n        proxy_pass http://sample;\n',
        "more_set_input_headers in location / is not known to the doctor",
        "not checked",
    ),
    "a module that responds": replacing_location(
        'echo "hello";', "echo in location / is not known to the doctor", "not checked"
    ),
    "dav without a check": DumpCase(
        "site.conf",
        "    return 421;\n",
        "    location /dav/ { root /srv; dav_methods PUT; }\n",
        "accepts files from any client",
        more=(
            ("site.conf", "listen 4000 default_server;", "listen 4001;"),
            ("site.conf", "    listen 4000;", "    listen 4000;\n    ssl_reject_handshake on;"),
        ),
    ),
    "a stream that bypasses the gateway": DumpCase(
        "nginx.conf",
        "events {}",
        "events {}\nstream { server { listen 4002; proxy_pass 127.0.0.1:8081; } }",
        "leads to the same app, without a check",
    ),
    "a stream to elsewhere": DumpCase(
        "nginx.conf",
        "events {}",
        "events {}\nstream { server { listen 4002; proxy_pass 127.0.0.1:9; } }",
        "the doctor cannot tell what it reaches",
        "not checked",
    ),
    "files that are not declared public": in_http(
        "server { listen 4001; location / { root /srv; } }",
        "serves files without a check",
        "fault",
    ),
}

TRANSPORTS = {
    **{
        f"{kind} with identity.conf": replacing_location(
            f"include authgw/identity.conf; {kind}_pass 127.0.0.1:9;",
            f"passes a client's own Remote-User on by {kind}_pass, and the live session cookie. "
            f"Add to it: include authgw/identity-{kind}.conf;",
        )
        for kind in ("fastcgi", "uwsgi", "scgi")
    },
    "grpc with identity.conf": replacing_location(
        "include authgw/identity.conf; grpc_pass 127.0.0.1:9;",
        "Add to it: include authgw/identity-grpc.conf;",
    ),
    **{
        f"{kind} and the cookie again": replacing_location(
            f"include authgw/identity-{kind}.conf; {kind}_param HTTP_COOKIE $http_cookie;\n"
            f"        {kind}_pass 127.0.0.1:9;",
            "the app receives the live session cookie",
        )
        for kind in ("fastcgi", "uwsgi", "scgi")
    },
    "grpc and the cookie again": replacing_location(
        "include authgw/identity-grpc.conf; grpc_set_header Cookie $http_cookie;\n"
        "        grpc_pass 127.0.0.1:9;",
        "the app receives the live session cookie",
    ),
    "fastcgi and the client's user": replacing_location(
        "include authgw/identity-fastcgi.conf; fastcgi_param REMOTE_USER $remote_user;\n"
        "        fastcgi_pass 127.0.0.1:9;",
        "site.conf before authgw/identity-fastcgi.conf.",
    ),
    "fastcgi and the client's user without an identity": replacing_location(
        "include authgw/identity-fastcgi.conf; fastcgi_param REMOTE_USER $remote_user;\n"
        "        fastcgi_param REMOTE_USER $authgw_user if_not_empty; fastcgi_pass 127.0.0.1:9;",
        "sends REMOTE_USER $remote_user",
    ),
    "a public app by FastCGI": in_server(
        "location /php { auth_request off; fastcgi_pass 127.0.0.1:9; }",
        "passes a client's own Remote-User on by fastcgi_pass",
    ),
    "memcached": replacing_location(
        "set $memcached_key $uri; memcached_pass 127.0.0.1:9;",
        "memcached_pass is not known to the recipe",
        "not checked",
    ),
}
