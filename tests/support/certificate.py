"""A certificate that signs itself, for a TLS listener of a test."""

import subprocess
from pathlib import Path


def write_certificate(folder: Path, *names: str) -> tuple[Path, Path]:
    """A certificate for these DNS names, and its key."""
    pem, key = folder / "tls.pem", folder / "tls.key"
    folder.mkdir(parents=True, exist_ok=True)
    named = ",".join(f"DNS:{name}" for name in names)
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "1", "-subj", f"/CN={names[0]}"),
            *("-addext", f"subjectAltName={named}", "-keyout", str(key), "-out", str(pem)),
        ],
        check=True,
        capture_output=True,
    )
    return pem, key
