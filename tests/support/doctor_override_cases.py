"""Sites that override a part of the recipe: headers, variables and identity."""

from tests.support.doctor_cases import DumpCase, identity, in_http, in_location, in_server, public

OVERRIDES = {
    "the client's cookie": in_location(
        "proxy_set_header Cookie $http_cookie;",
        "proxy_set_header Cookie $http_cookie overrides the recipe, so that the app receives the "
        "live session",
    ),
    "the client's cookie in lower case": in_location(
        'proxy_set_header cookie "$http_cookie";', "overrides the recipe"
    ),
    "the client's cookie before the recipe": DumpCase(
        "site.conf",
        "        include authgw/identity.conf;",
        "        proxy_set_header Cookie $http_cookie; include authgw/identity.conf;",
        "overrides the recipe",
    ),
    "a part of the cookie": in_location(
        "proxy_set_header Cookie a=$cookie_a$cookie_authgw;", "overrides the recipe"
    ),
    "a cookie of unknown origin": in_location(
        "set $mine $arg_a; proxy_set_header Cookie $mine;", "cannot tell", "not checked"
    ),
    "the cookie in another header": in_location(
        "proxy_set_header X-Cookies $http_cookie;", "sends the app the live session cookie"
    ),
    "a second Remote-User": in_location(
        "proxy_set_header Remote-User $http_remote_user;", "which no auth_request_set takes"
    ),
    "a fixed Remote-User": in_location(
        "proxy_set_header Remote-User admin;", "sends Remote-User admin"
    ),
    "a second Host": in_location(
        "proxy_set_header Host $http_x_forwarded_host;", "name another site than was checked"
    ),
    "the older Host": identity(
        "Host $authgw_authority;", "Host $http_host;", "is of an older recipe", "fault"
    ),
    "the client's X-Forwarded-For": in_location(
        "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
        "sends the app, as X-Forwarded-For, a value that the client chooses",
    ),
    "the client's X-Forwarded-Proto": in_location(
        "proxy_set_header X-Forwarded-Proto $http_x_forwarded_proto;", "as X-Forwarded-Proto"
    ),
    "the client's certificate header": in_location(
        "proxy_set_header X-SSL-Client-Cert $http_x_ssl_client_cert;", "as X-Ssl-Client-Cert"
    ),
    "a path other than the checked path": in_location(
        "proxy_set_header X-Original-URL $arg_url;", "as X-Original-Url"
    ),
    "a line of the recipe left out": identity(
        'proxy_set_header X-Rewrite-Url "";', "", "a client's own X-Rewrite-Url would arrive"
    ),
    "Cookie left out": identity(
        "proxy_set_header Cookie $authgw_cookie;", "", "the live session cookie would arrive"
    ),
    "identity twice": in_location(
        "proxy_set_header Remote-User $authgw_user;", "so that the header arrives twice", "fault"
    ),
    "another method": in_location("proxy_method POST;", "another method than the gateway checked"),
    "an app's refusals intercepted": in_location(
        "proxy_intercept_errors on;", "users see a refusal", "fault"
    ),
    "groups as user": DumpCase(
        "authgw/protect.conf",
        "$authgw_user $upstream_http_remote_user",
        "$authgw_user $upstream_http_remote_groups",
        "is sent as Remote-User, and the gateway's response has it in $upstream_http_remote_user",
    ),
    "another login location": DumpCase(
        "authgw/protect.conf",
        "$authgw_location $upstream_http_location",
        "$authgw_location $arg_next",
        "auth_request_set $authgw_location $arg_next overwrites a variable",
    ),
    "a variable overwritten by set": in_server(
        "set $authgw_user $arg_user;", "overwrites a variable of the recipe"
    ),
    "a duplicated map": in_http(
        "map $arg_user $authgw_cookie { default $http_cookie; }", "defines a variable of the recipe"
    ),
    "a geo block over a variable": in_http(
        "geo $authgw_cookie { default a; }", "defines a variable of the recipe"
    ),
    "a capture": in_server(
        public("rewrite ^/public/(?<authgw_user>[a-z]+) /public/x break; return 204;"),
        "a client chooses its value",
    ),
    "a capture in a location": in_server(
        "location ~ ^/u/(?<authgw_name>[a-z]+) { auth_request off; return 204; }",
        "overwrites $authgw_name",
    ),
    "another map of the recipe": DumpCase(
        "authgw/http.conf",
        '"~*^websocket$" websocket;',
        '"~*^websocket$" websocket; h2c h2c;',
        "map $http_upgrade $authgw_upgrade is not that of this version's recipe",
        "not checked",
    ),
}
