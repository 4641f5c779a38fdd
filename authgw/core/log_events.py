"""Every event and field of the log: the table that renders lines and documents them.

An event that happens with a request or a command is an audit event (`core.audit.Event`); all
others are events of the service, which are logged where they happen, by loguru. Field names are
those of OpenTelemetry's semantic conventions where these have one, `http.request.id` and
`message` are those of the Elastic Common Schema, `authgw.` begins our own.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LogEvent:
    """An event of the log: level, meaning for the operator, and the fields that it can have.

    `message` begins the message of its lines; it is empty for events of the service, whose sentence
    is where they are logged. Every line has the fields `time`, `level`, `message` and `event`.
    """

    level: str
    meaning: str
    fields: tuple[str, ...] = ()
    message: str = ""


FIELDS = {
    "time": "Time with milliseconds: in UTC (RFC 3339) as JSON, local as text.",
    "level": "debug, info, warning or error.",
    "message": "A sentence; it may change with any version.",
    "event": "The name of the event.",
    "http.request.id": "X-Request-ID of a trusted proxy, else a random id; error pages show it.",
    "client.address": "Address of the client according to server.trusted_proxies, or unix.",
    "http.request.method": "Method of the original request, or of the request to authgw itself.",
    "server.address": "Host of that request, without port.",
    "url.path": "Path of that request as it was sent, without query.",
    "http.response.status_code": "Status of authgw's response; for a check, that to the proxy.",
    "user.name": "Subject: a name of the users file, a user_id or subject of a trusted backend, or "
    "client:NAME, the backend itself. Missing for names that the users file does not have: they "
    "may be misplaced passwords.",
    "authgw.sid": "Id of the session; authgw session revoke takes it.",
    "authgw.reason": "Code of the refusal, as in X-Authgw-Reason.",
    "authgw.cause": "Precise cause of a refused login, app password or form; no client sees it.",
    "authgw.code_age": "Seconds between the time of a one-time code and now; negative: too early.",
    "authgw.rule": "Rule that decided the check, with its file and line; missing without rules.",
    "authgw.credential": "Kind of credential: cookie, bearer or app-password of a check; the "
    "methods of a login (pwd, pwd+otp, rescue), oidc:NAME of an identity provider, client:NAME of "
    "a trusted backend, or open (open_login).",
    "authgw.authorization": "foreign: the request had an Authorization header for the app.",
    "authgw.provider": "Name of the identity provider, as in login.providers.",
    "authgw.account": "Stable id of the account at this provider: claim sub, or GitHub's number.",
    "authgw.command": "Command that made the change, such as user add.",
    "authgw.operator": "Account that ran the command: SUDO_USER under sudo, else "
    "the system's user.",
    "process.owner": "The system's user that the command ran as.",
    "authgw.client": "Name of the trusted backend that was changed.",
    "authgw.kid": "Id of the signing key that was made.",
    "detail": "Deprecated, removed with the next version: several fields and message in one text.",
    "library": "Python library that logged the line.",
}

_REQUEST = (
    "http.request.id",
    "client.address",
    "http.request.method",
    "server.address",
    "url.path",
)
_SESSION = ("user.name", "authgw.sid")
_REFUSAL = ("http.response.status_code", "authgw.reason")
_CHECK = ("authgw.rule", "authgw.credential", "authgw.authorization")
_ACCOUNT = ("authgw.provider", "authgw.account")
_COMMAND = ("authgw.command", "authgw.operator", "process.owner")

AUDIT_EVENTS = {
    "allow": LogEvent(
        "info",
        "A check was allowed. Logged with logging.decisions: all only.",
        (*_REQUEST, *_SESSION, "http.response.status_code", *_CHECK),
        "Allowed",
    ),
    "deny": LogEvent(
        "info",
        "A check or another request was refused. The level is warning if authgw.reason points to a "
        "wrong configuration of the proxy.",
        (*_REQUEST, *_SESSION, *_REFUSAL, *_CHECK, "authgw.cause"),
        "Denied",
    ),
    "failure": LogEvent(
        "error",
        "authgw itself failed and responded with 500; message names the line of code. Report it.",
        (*_REQUEST, *_REFUSAL),
        "Internal error",
    ),
    "login": LogEvent(
        "info",
        "A session was opened.",
        (*_REQUEST, *_SESSION, "authgw.credential", *_ACCOUNT),
        "Logged in",
    ),
    "login_failure": LogEvent(
        "warning",
        "A login failed, or a trusted backend was refused; authgw.cause says why.",
        (*_REQUEST, "user.name", *_REFUSAL, "authgw.cause", "authgw.code_age", *_ACCOUNT),
        "Login failed",
    ),
    "logout": LogEvent(
        "info", "A user ended a session.", (*_REQUEST, *_SESSION, *_ACCOUNT), "Logged out"
    ),
    "loop": LogEvent(
        "warning",
        "A browser was sent to the login page again and again; message names the cause.",
        (*_REQUEST, *_SESSION),
        "Redirect loop",
    ),
    "refresh_reuse": LogEvent(
        "warning",
        "A refresh token was used a second time and its session revoked: the token was stolen, or "
        "an app keeps old tokens.",
        (*_REQUEST, *_SESSION, *_REFUSAL),
        "Refresh token reused",
    ),
    "revoke": LogEvent(
        "info",
        "A session was ended by its user elsewhere, a trusted backend, a limit, a command, or its "
        "identity provider, which reported a logout or no longer confirms the account.",
        (*_REQUEST, *_SESSION, *_COMMAND, *_ACCOUNT),
        "Session revoked",
    ),
    "change": LogEvent(
        "info",
        "A command changed users, links, bindings, trusted backends or signing keys "
        "(logging.commands), or users changed their links on the account page.",
        (*_REQUEST, *_SESSION, "authgw.client", "authgw.kid", *_ACCOUNT, *_COMMAND),
        "Changed",
    ),
}

SERVICE_EVENTS = {
    "start": LogEvent(
        "info", "First line: version, configuration file, and numbers of rules, users and clients."
    ),
    "configuration_note": LogEvent("info", "An environment variable that is known and ignored."),
    "configuration_warning": LogEvent(
        "warning", "A setting, rule or file permission that is valid and probably a mistake."
    ),
    "no_access_rules": LogEvent(
        "warning", "Without a rules section any valid session may access every protected host."
    ),
    "open_login_enabled": LogEvent("warning", "auth.open_login is on, which is for demos only."),
    "listening": LogEvent("info", "The replica accepts connections at these addresses."),
    "metrics_unavailable": LogEvent(
        "warning", "The metrics port cannot be used; requests are served without metrics."
    ),
    "draining": LogEvent("info", "SIGTERM: /readyz is 503, requests are still served."),
    "drain_timeout": LogEvent(
        "warning", "server.drain was over before every request had its response."
    ),
    "too_many_connections": LogEvent(
        "warning", "The limit of connections is reached; logged once a minute at most."
    ),
    "reloaded": LogEvent("info", "SIGHUP: rules, users, clients and keys were read again."),
    "reload_failed": LogEvent(
        "error", "SIGHUP: a file cannot be used; the previous configuration stays active."
    ),
    "restart_required": LogEvent(
        "warning", "SIGHUP: these settings have changed and take effect after a restart only."
    ),
    "users_file_read": LogEvent("info", "Users or bindings have changed and were read."),
    "users_file_broken": LogEvent(
        "error", "Users or bindings cannot be used; the previous state of that file stays active."
    ),
    "users_file_warning": LogEvent(
        "warning",
        "Users or bindings are readable by others, or the users file has names that differ only in "
        "case, or keys that this version does not know.",
    ),
    "rehash_failed": LogEvent(
        "warning", "The users file cannot be changed to renew a password hash; logins succeed."
    ),
    "store_unreachable": LogEvent(
        "warning", "The session store cannot be reached at the start; responses are 503 until then."
    ),
    "provider_check_failed": LogEvent(
        "warning",
        "An identity provider did not confirm a session; its sessions stay for at most `stale`.",
    ),
    "provider_secret_broken": LogEvent(
        "error",
        "The refresh token of a session cannot be decrypted: a signing key is missing, or the "
        "store was changed.",
    ),
    "push_lost": LogEvent(
        "warning",
        "Redis does not push revocations now; they take effect within cache.max_staleness.",
    ),
    "push_restored": LogEvent("info", "Redis pushes revocations again."),
    "clock_differs": LogEvent(
        "warning", "The clocks of this machine and of Redis differ by more than 2 s."
    ),
    "clock_agrees": LogEvent("info", "The clocks of this machine and of Redis agree again."),
    "redis_master_alone": LogEvent(
        "error", "A Redis master has no replica; its confirmed writes are lost if it fails."
    ),
    "redis_replica_restored": LogEvent("info", "The Redis master has a replica again."),
    "keys_not_shared": LogEvent(
        "error", "Replicas on the same Redis have different signing keys, or Redis is set up wrong."
    ),
    "token_format": LogEvent(
        "info",
        "The form in which tokens and sessions are written, after a replica of another "
        "version started or stopped.",
    ),
    "library": LogEvent(
        "warning",
        "A message of a Python library, of its own level, without its arguments.",
        ("library",),
    ),
}

EVENTS = AUDIT_EVENTS | SERVICE_EVENTS
