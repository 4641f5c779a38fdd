"""Passwords, hashes and secrets of entries in a users file."""

HASH = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRz$aGFzaGhhc2hoYXNoaGFzaA"
OTHER = HASH.replace("c2Fs", "c2Ft")
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
PASSWORD = "correct horse battery staple"
