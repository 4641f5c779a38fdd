"""Authorization lines of apps, as clients send them next to the gateway's cookie."""

from base64 import b64encode


def basic_of(name: str, password: str) -> str:
    return f"Basic {b64encode(f'{name}:{password}'.encode()).decode()}"


# A token of another issuer: header {"alg":"HS256","kid":"theirs"}, payload {"iss":"https://other"}.
TOKEN_OF_ANOTHER = "eyJhbGciOiJIUzI1NiIsImtpZCI6InRoZWlycyJ9.eyJpc3MiOiJodHRwczovL290aGVyIn0.c2ln"
FOREIGN = {
    "jellyfin": ['MediaBrowser Token="x"'],
    "jellyfin in full": [
        'MediaBrowser Client="Jellyfin Web", Device="Firefox, on a desk", DeviceId="TW96", '
        'Version="10.8.13", Token="0123456789abcdef"'
    ],
    "basic of the app": [basic_of("alice", "hers at the app")],
    "token of another issuer": [f"Bearer {TOKEN_OF_ANOTHER}"],
    "no JWS": ["Bearer x.y.z"],
    "opaque": ["Bearer 6f1c9a0b"],
    "two spaces": ["Bearer  x"],
    "undefined": ["Bearer undefined"],
    "null": ["bearer null"],
    "scheme only": ["Bearer"],
    "empty": [""],
    "digest": ['Digest username="x", realm="y", nonce="z", uri="/", qop=auth, nc=00000001'],
    "signed request": [
        "AWS4-HMAC-SHA256 Credential=AK/20130524/us-east-1/s3/aws4_request, "
        "SignedHeaders=host;x-amz-date, Signature=fe5f80"
    ],
    "key=value": ["PVEAPIToken=root@pam!id=6d8c"],
    "tab": ["Token\ttoken=abc"],
    "beyond ASCII": ["Bearer ÿ"],
    "two lines": ["Bearer x", 'MediaBrowser Token="x"'],
}
OF_A_CONNECTION = {
    "negotiate": ["Negotiate YIIZ+w=="],
    "ntlm": ["NTLM TlRMTVNTUAABAAAAB4IIAA=="],
    "ntlm in another case": ["nTLM TlRMTVNTUAABAAAAB4IIAA=="],
    "second line": ["Bearer x", "NTLM TlRMTVNTUAABAAAAB4IIAA=="],
}
