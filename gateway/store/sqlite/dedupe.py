"""The number by which a key of duplicates is found."""

import hashlib

HASH_BYTES = 8


def dedupe_hash(source: str, key: str) -> int:
    """Kept in the store: it must stay the same in every version. As many bytes as an SQLite integer has."""
    digest = hashlib.blake2b(f"{source}\0{key}".encode(), digest_size=HASH_BYTES).digest()
    return int.from_bytes(digest, signed=True)
