"""Typical mistakes in other files, the store and variables, and the message that answers each."""

from tests.support.typical_mistakes import Mistake, config

HASH = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRz$aGFzaGhhc2hoYXNoaGFzaA"


def _users(name: str, text: str, message: str, status: int = 1) -> Mistake:
    return Mistake(name, message, {"users.yml": text}, status=status)


def _variable(name: str, variable: str, value: str, message: str) -> Mistake:
    return Mistake(name, message, environ={variable: value})


USERS = (
    Mistake(
        "misspelled group",
        "config.yml:2: rules[0].allow: no user is in group:admin: did you mean group:admins?",
        {
            "config.yml": "rules:\n  - {host: app.example.com, allow: 'group:admin'}\n",
            "users.yml": f"alice:\n  password: {HASH}\n  groups: [admins]\n",
        },
    ),
    _users(
        "password instead of a hash",
        "alice:\n  password: hunter2\n",
        "{dir}/users.yml:2: alice.password: is not an argon2id hash: remove the entry and run "
        "`authgw user add`",
    ),
    _users(
        "broken TOTP secret",
        f"alice:\n  password: {HASH}\n  totp: {{secret: '0189'}}\n",
        "{dir}/users.yml:3: alice.totp.secret: is not base32 of at least 128 bits: remove totp and "
        "run `authgw user totp`",
    ),
    _users(
        "misspelled key of a user",
        f"alice:\n  password: {HASH}\n  group: [users]\n",
        "{dir}/users.yml:3: alice: unknown key: did you mean groups? Until then alice cannot log "
        "in; a newer version of authgw may have written the key",
        status=0,
    ),
    _users(
        "group of a user with a space",
        f"alice:\n  password: {HASH}\n  groups: [Domain Users]\n",
        "{dir}/users.yml:3: alice.groups[0]: is not a valid name of a group: write 1 to 64 of "
        "A-Z a-z 0-9 . _ : @ / -",
    ),
    _users(
        "users that differ in case",
        f"alice:\n  password: {HASH}\nAlice:\n  password: {HASH}\n",
        "{dir}/users.yml: the names alice and Alice differ only in case or in similar characters, "
        "which the next release refuses: keep one of them and rename the others",
        status=0,
    ),
    Mistake(
        "client with a plain secret",
        "{dir}/clients.yml:1: shop.secret_sha256: is not the SHA-256 of a secret: remove the entry "
        "and run `authgw client add`, which writes it",
        {"clients.yml": "shop: {secret_sha256: hush}\n"},
    ),
)

STORE = (
    config(
        "store URL with a slash too few",
        "cache:\n  url: rediss:/redis:6379\n",
        "config.yml:2: cache.url: is not the URL of a store: write embedded:///FILE, "
        "embedded://memory or redis://HOST",
    ),
    config(
        "misspelled kind of store",
        "cache:\n  url: sqllite:///var/authgw.db\n",
        "config.yml:2: cache.url: is not the URL of a store: write embedded:///FILE, "
        "embedded://memory or redis://HOST",
    ),
    config(
        "store file with two slashes",
        "cache:\n  url: embedded://var/authgw.db\n",
        "config.yml:2: cache.url: must have three slashes: write embedded:///var/authgw.db",
    ),
    config(
        "missing password file",
        "cache:\n  host: redis\n  password_file: secrets/redis\n",
        "cache.password_file: {dir}/secrets/redis does not exist: create it, or correct the path",
    ),
    Mistake(
        "empty password file",
        "cache.password_file: {dir}/secrets/redis is empty: restore its content, or remove it and "
        "make a new one",
        {
            "config.yml": "cache:\n  host: redis\n  password_file: secrets/redis\n",
            "secrets/redis": "\n",
        },
    ),
    Mistake(
        "secret readable by every account",
        "auth.secret_file: {dir}/secrets/jwt_key is accessible to every account of this machine: "
        "chmod 600 {dir}/secrets/jwt_key",
        {"config.yml": "auth:\n  algorithm: HS256\n", "secrets/jwt_key": "x" * 40},
        command="serve",
        mode=0o644,
    ),
    Mistake(
        "file that is not a store",
        "{dir}/var/authgw.db cannot be used (file is not a database): check the file and its disk, "
        "or correct cache.url",
        {"var/authgw.db": "x" * 4096},
        command="serve",
    ),
)

ENVIRONMENT = (
    _variable(
        "one underscore",
        "AUTHGW_SERVER_PORT",
        "9000",
        "AUTHGW_SERVER_PORT: unknown variable: did you mean AUTHGW_SERVER__PORT?",
    ),
    _variable(
        "empty variable of a compose file",
        "AUTHGW_RULES",
        "",
        "AUTHGW_RULES is empty: write its value, or unset the variable",
    ),
    _variable(
        "configuration file that does not exist",
        "AUTHGW_CONFIG",
        "conf.yml",
        "conf.yml does not exist: create it, or correct the path",
    ),
    _variable(
        "secret file that does not exist",
        "AUTHGW_CACHE__URL_FILE",
        "secrets/url",
        "AUTHGW_CACHE__URL_FILE: {dir}/secrets/url does not exist: create it, or correct the path",
    ),
    Mistake(
        "configuration file of another name",
        "config.yaml is not read: rename it to config.yml, or name it by --config or AUTHGW_CONFIG",
        {"config.yaml": "server: {port: 8080}\n"},
        command="serve",
    ),
    Mistake("another working directory", "no config.yml in {dir}, defaults apply", status=0),
    Mistake(
        "sessions of a store that does not exist",
        "{dir}/var/authgw.db does not exist, since no gateway has stored sessions yet: run "
        "`authgw serve`, or correct cache.url",
        command="session list",
    ),
)

# Messages about ports, accounts, disks, Redis and proxies, by the state that a test produces.
STATES = {
    "port in use": "server.port: another process uses 127.0.0.1:{port} already: stop that process, "
    "or set another port",
    "store in use": "{dir}/var/authgw.db is in use by process {pid}: stop that process, or set "
    "cache.url to a Redis, which several replicas can share",
    "file of another account": "{path} may not be used by uid {uid}: correct owner or mode of "
    "{target} (chown, chmod)",
    "users file of root": "{dir}/users.yml belongs to root, so that nobody, the owner of the other "
    "files, cannot use it: chown nobody {dir}/users.yml",
    "read-only disk": "{dir}/var/authgw.db is on a read-only file system: mount it writable, or "
    "choose another path",
    "full disk": "{dir}/var/authgw.db cannot be written, since the disk is full: free some space",
    "wrong password": "Redis refuses the user or password of authgw: correct cache.password_file "
    "or cache.url",
    "no Redis": "cannot reach the session store (Redis: ConnectionError): start it, or correct "
    "cache.url",
    "wrong clock": "the clock of Redis 127.0.0.1:{port} is 3600.0 s behind, so that tokens are "
    "refused: synchronise both clocks by NTP",
    "no dump": "dump: is not the output of `nginx -T`: write `nginx -T > FILE` first",
    "failed reload": "Reload failed: config.yml:1: server.prot: unknown key: did you mean port? "
    "The previous configuration stays active; fix it and send SIGHUP again.",
}

FILE_MISTAKES = (*USERS, *STORE, *ENVIRONMENT)
