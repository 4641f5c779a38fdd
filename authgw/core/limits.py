"""Rate and size limits of the product: a table, with the unit and the reason of each.

All limits on the data and load that clients, proxies and files may cause are here, so that a limit
can be found, changed and documented in a single place. `..._BYTES` are bytes, `..._LENGTH`
characters, `..._TIMEOUT`, `..._WINDOW`, `..._DELAY` and `..._AFTER` seconds, all others counts.

Configurable limits are keys of the configuration: `auth.max_sessions` (sessions of a user),
`auth.passwords.min_length`, the lifetimes of `auth` and `cache.max_staleness`; their defaults and
bounds are in `config.schema`.

Elsewhere stay: timeouts, batches and retries of a store's protocol (`storage`), of shutting down
(`server.shutdown`) and of commands (`doctor`, `cli`); the strength of keys, hashes and codes
(`core.keys`, `identity.passwords`, `identity.totp`); fixed lengths of formats.
"""

from typing import NamedTuple


class ThrottleLimit(NamedTuple):
    """At most `max_failures` failed attempts in a window of `window` seconds."""

    max_failures: int
    window: float


# --- Connections and request heads ---

# A replica answers tens of thousands of requests a second, each in a millisecond: proxies that keep
# their connections need a few dozen. Where the system allows fewer descriptors, they are the bound.
MAX_CONNECTIONS = 4096
# Descriptors for the store's connections, files and the metrics port.
RESERVED_DESCRIPTORS = 128
# Connections that wait for a busy event loop; a flood must not fill it before it is noticed.
LISTEN_BACKLOG = 1024
FIRST_REQUEST_TIMEOUT = 10.0
# Time in which a peer must read part of a response.
UNREAD_RESPONSE_TIMEOUT = 30
# NGINX sends at most 8 x 32 KB, and the address once more in its subrequest.
MAX_HEAD_BYTES = 512 * 1024
# As large_client_header_buffers in nginx/http.conf.
MAX_HEADER_LINE_BYTES = 32 * 1024
# The limit of aiohttp.
MAX_HEADERS = 128
# Responses that wait for the end of a turn of the event loop; a client that pipelines requests and
# never reads must not cause more.
MAX_HELD_RESPONSE_BYTES = 64 * 1024

# --- Bodies and the texts in them ---

MAX_JSON_BYTES = 16 * 1024
# From the head of a request to the end of its body.
BODY_TIMEOUT = 10.0
# Bytes of a return target (`rd`) as the browser sent it. This limit applies everywhere: to the
# Location of each dialect, the forms of the login pages and the buffers of the recipes.
# Percent-encoding triples a byte, so a header with a return target takes up to 24 KiB.
MAX_RD_BYTES = 8192
# The longest return target, percent-encoded, and all other fields.
MAX_FORM_BYTES = 3 * MAX_RD_BYTES + 8 * 1024
# A user name, e-mail address or full name, in the users file and from trusted backends.
MAX_TEXT_BYTES = 255
# All group names of a user together: they share a header.
MAX_GROUPS_BYTES = 4096
# An integer of 64 bits, as databases number users.
MAX_USER_ID = 2**63 - 1
# A group, or an app password's name.
MAX_NAME_LENGTH = 64
# The image on the button of a provider, which the login page loads each time it is shown.
MAX_ICON_BYTES = 64 * 1024
# An identity provider, whose name stands before those of its users and groups.
MAX_PROVIDER_NAME_LENGTH = 32

# --- Credentials ---

# All Authorization lines together, checked before decoding.
MAX_AUTHORIZATION_BYTES = 8192
# Encodings within each other: Basic, and a JWS in it.
MAX_CREDENTIAL_DECODES = 2
MAX_TOKEN_BYTES = 4096
MAX_PASSWORD_BYTES = 1024
# Hashes of the same password that sessions may refer to.
MAX_PASSWORD_MARKS = 4
# A line of standard input, more than any accepted password.
MAX_PASSWORD_LINE_BYTES = 8192
# Session cookies in a request; a browser can hold a cookie for each domain. A login or logout
# verifies more than a check accepts and ends some of their sessions, so that a browser with too
# many cookies can recover.
MAX_SESSION_COOKIES = 4
MAX_VERIFIED_COOKIES = 16
MAX_ENDED_SESSIONS = 8
# Helper cookies of a name; each may cost a signature.
MAX_HELPER_COOKIES = 4
# Logins at identity providers that a browser has begun and not completed; each has a cookie of its
# own, of up to MAX_TOKEN_BYTES.
MAX_FLOW_COOKIES = 2
# Names in the query of a provider's response, and in the form of its report of a logout; those that
# authgw does not know are ignored.
MAX_CALLBACK_PARAMETERS = 32
# Separate runs of the gateway's cookies that a recipe removes from a Cookie header.
MAX_COOKIE_RUNS = 12

# --- Logins ---

# Five typing errors, then a pause that makes guessing useless.
PER_PAIR = ThrottleLimit(5, 300.0)
# For all users of an office that share an address.
PER_ADDRESS = ThrottleLimit(300, 900.0)
# The limit of NIST (SP 800-63B section 5.2.2). More failures from unknown devices are an attack on
# this user, ...
PER_USER = ThrottleLimit(100, 3600.0)
# ... and then every address of an unknown device has a single attempt in a window of PER_PAIR.
MAX_UNDER_ATTACK = 1
# Only requests with the device's cookie are counted here, so no attacker can exhaust this limit.
PER_DEVICE = ThrottleLimit(10, 300.0)
# Codes are checked after the password. Ten of a million codes in each window.
PER_CODE = ThrottleLimit(10, 900.0)
# Age in seconds of a login after which a user has to log in again to link accounts: a browser that
# was left open must not be enough.
LINK_PROOF_AGE = 600.0
# Seconds within which the log names the age of a code that is too old or too new: clocks that
# are not synchronised differ by minutes. Each step of 30 s costs 8 microseconds for a wrong code.
MAX_CODE_AGE = 600.0
# Wrong secrets of a trusted backend from an address.
PER_BACKEND = ThrottleLimit(10, 60.0)
# Responses of identity providers from an IPv4 address or an IPv6 /64: each costs a write to the
# store and a call to the provider, which would throttle the gateway.
PER_CALLBACK = ThrottleLimit(10, 60.0)
# Attempts without a valid credential from an IPv4 address or an IPv6 /64 that may write to the
# store, per replica: more than many users behind an address need, and a flood costs the store less
# than a busy site does.
PER_STRANGER = ThrottleLimit(600, 60.0)
# Addresses whose attempts are counted in memory, of about 200 bytes each.
MAX_BUDGETED_ADDRESSES = 2**14
# While a check at an identity provider is due, the session is looked at again in this interval: the
# replica that began the check may have failed.
RENEWAL_RETRY_AFTER = 30.0
# The time for which NGINX may repeat a response of 200 (`proxy_cache_valid` of protect.conf, with
# cache.conf): whether it does is not visible here, so bounds in time are that much earlier.
PROXY_CACHE_LIFETIME = 1.0
# A new session whose name is not bound yet has this time: other replicas read the bindings that
# a login has written within a second.
BINDING_DELAY = 5.0
# Throttle counters in an SQLite store: invented names must not fill the disk, so those that expire
# soonest are deleted.
MAX_COUNTERS = 100_000
# More concurrent refusals than this are not an accident: further refusals are delayed.
MAX_UNDELAYED_REFUSALS = 4
MEAN_REFUSAL_DELAY = 1.0
MAX_DELAYED_REFUSALS = 2000
# A container sees every processor of its node, and each worker uses 19 MiB while it hashes.
MAX_HASH_WORKERS = 8
HASH_SLOTS_PER_WORKER = 16
HASH_RETRY_AFTER = 1.0
# So many visits of a login page, each within the window after the last, are a redirect loop.
LOOP_VISITS = 3
LOOP_WINDOW = 10.0
MAX_WATCHED_SESSIONS = 4096
# Hosts of a watched session.
MAX_WATCHED_HOSTS = 64

# A return target in the ticket of a login at an identity provider, as it is written there: the
# ticket has to fit into a token (MAX_TOKEN_BYTES) and a cookie.
MAX_FLOW_RD_BYTES = 1500
# An authorization code: providers send a few hundred bytes.
MAX_CODE_BYTES = 2048

# --- Paths, hosts and rules ---

MAX_READINGS = 64
# Characters of all readings of a path together.
MAX_READINGS_LENGTH = 64 * 1024
# Consecutive combining characters (UAX #15, Stream-Safe): the time to sort them is quadratic.
MAX_COMBINING_MARKS = 30
# Rounds of decoding after the first.
MAX_DECODING_ROUNDS = 6
MAX_PATTERN_LENGTH = 1024
# 253 characters of a name, a dot, a port.
MAX_HOST_LENGTH = 260
# An address with zone, port and quotes.
MAX_ADDRESS_LENGTH = 80
# Addresses whose canonical form is kept.
MAX_CACHED_ADDRESSES = 4096
# Further targets of a request: more would only cost time.
MAX_FURTHER_TARGETS = 16
# Nodes of a YAML file with aliases expanded: a few lines can expand to billions.
MAX_YAML_NODES = 50_000

# --- Caches ---

# Sessions that are checked within an interval of cache.max_staleness; each takes about 2 KB.
MAX_MIRRORED_SESSIONS = 2**17
# Sessions that stay decoded although the mirror has dropped them; each takes about 1.2 KB.
MAX_KEPT_SESSIONS = 2**14
# Tokens that were verified or minted: an ordinary token takes 280 bytes, so 65,536 of them fit.
MAX_TOKEN_MEMORY_BYTES = 65_536 * 288
# JOSE headers and HMAC keys, each; an entry for each key and type is enough.
MAX_CACHED_JOSE_HEADERS = 64
# Header layouts and targets, each.
MAX_CACHED_CHECKS = 4096
# Callers: 65,536 whose responses have 160 bytes.
MAX_CACHED_CALLERS_BYTES = 48 * 1024 * 1024
CALLER_OVERHEAD_BYTES = 600  # an entry of a caller without its responses
# Credentials whose digest is kept, as the requests of a page follow one another; each is a part of
# a head.
MAX_RECENT_CREDENTIALS = 128
# Slots of credentials that were used once; each takes a byte.
FIRST_USE_SLOTS = 2**18
# Targets with refusals of callers without valid credentials. Anyone may fill them, so they are
# apart from allowed targets; the largest response has a return target of usual length.
MAX_CACHED_REFUSALS = 1024
MAX_CACHED_REFUSAL_BYTES = 2048
# Header layouts of refused checks; proxies send few, and clients can add any number.
MAX_REFUSED_LAYOUTS = 64
# Headers of a cached check: an accepted client must not fill the memory with them.
MAX_CACHED_HEADERS_BYTES = 8 * 1024
# Spellings of header names, and the characters of each.
MAX_CACHED_NAMES = 1024
MAX_CACHED_NAME_LENGTH = 256
# Serialised heads of responses: more than there are reasons for a refusal. A Location with a return
# target can be as long as a request's head.
MAX_PREPARED_HEADS = 64
# Our header names, and those that the configuration sets.
MAX_PREPARED_NAMES = 64

# --- Store ---

# Sids of an account: more than the sessions that a user has at the default of auth.max_sessions.
MAX_RECORD_MEMBERS = 1000
# Records, and members of sets, in an SQLite store: those that expire soonest are deleted.
MAX_RECORDS = 100_000

# Commands on a connection to Redis without a reply yet: what it executes within the deadline of an
# operation. The requests of all connections of a replica need no more.
MAX_WAITING_COMMANDS = 8192

# --- Texts that are logged, stored or shown ---

# Characters of a value, such as a path, in a log line over MAX_LOG_WRITE_LENGTH.
MAX_LOGGED_LENGTH = 512
# Stored with a session.
MAX_USER_AGENT_LENGTH = 256
# A longer User-Agent does not describe its device any better.
MAX_PARSED_USER_AGENT_LENGTH = 1024
# A path on the page of a refusal.
MAX_SHOWN_PATH_LENGTH = 200
# Characters of the log lines that are written together: a pipe takes 4,096 bytes in one piece
# (PIPE_BUF of pipe(7)), so that lines of several processes do not mix. So much a crash can lose.
MAX_LOG_WRITE_LENGTH = 4096
# Lines of denials, logins and logouts whose text is kept, and the characters of each.
MAX_KEPT_LINES = 256
MAX_KEPT_LINE_LENGTH = 1024
# Problems of a users file that are reported at once.
MAX_REPORTED_PROBLEMS = 20

# --- Calls to identity providers ---

# Name resolution, connection and response together, so that a browser's login does not wait longer.
PROVIDER_CALL_TIMEOUT = 5.0
# Metadata, keys, tokens and user information have a few KB; 200 groups of 1,000 characters fit.
MAX_PROVIDER_RESPONSE_BYTES = 1024 * 1024
# An age at which the metadata and the keys of a provider are fetched again, ...
PROVIDER_DOCUMENT_DUE_AFTER = 3600.0
# ... the age up to which they serve while the provider is away, ...
PROVIDER_DOCUMENT_STALE_AFTER = 24 * 3600.0
# ... and the time between two attempts then, and between two fetches for an unknown key.
PROVIDER_DOCUMENT_RETRY_AFTER = 60.0
# A check of a running session, with all of its calls; the claim of the session lasts longer
# (RENEWAL_RETRY_AFTER), so that no other replica presents the same refresh token.
RENEWAL_TIMEOUT = 10.0
# Checks at once; of further sessions, the next use begins the check.
MAX_RENEWALS = 64
# A provider that is away is logged once in this time.
PROVIDER_LOG_WINDOW = 60.0
# Characters of a provider's error text in the log.
MAX_NOTED_ERROR_LENGTH = 200
# Pages of a list of GitHub's API, of 100 entries each: organizations, teams, addresses.
MAX_GITHUB_PAGES = 10
# Parallel calls to a provider, ...
MAX_PROVIDER_CALLS = 16
# ... and the part of them that logins can use; the others are left to running sessions.
MAX_LOGIN_CALLS = 8
# Calls of logins that wait for their turn; they would time out behind a longer queue.
MAX_WAITING_CALLS = 64

# --- Tokens and documents of identity providers ---

# ID tokens with 200 groups of Entra ID have 8 KiB.
MAX_PROVIDER_TOKEN_BYTES = 16 * 1024
# Keys of a provider; the largest documents have 30.
MAX_PROVIDER_KEYS = 100
# Bits of a provider's RSA key: the time of a verification grows with their square.
MAX_PROVIDER_RSA_BITS = 8192
# An address in a provider's metadata, or its issuer.
MAX_PROVIDER_URL_BYTES = 2048
# Entries of `amr`; RFC 8176 defines 20.
MAX_PROVIDER_AMR = 32
# Age of a logout token that has no `exp`.
LOGOUT_TOKEN_WINDOW = 120.0
