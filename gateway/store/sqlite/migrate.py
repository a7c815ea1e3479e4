"""Brings a store to this version's schema, one numbered file a transaction. A migration never changes."""

import functools
import re
import sqlite3
from importlib.resources import files

from gateway.errors import StoreUnusable
from gateway.store.sqlite.dedupe import dedupe_hash

MIGRATIONS = files("gateway.store.sqlite") / "migrations"
FILE_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")


@functools.cache
def migrations() -> list[tuple[int, str]]:
    """(number, SQL), ascending."""
    found = [(FILE_NAME.fullmatch(file.name), file) for file in MIGRATIONS.iterdir()]
    return sorted((int(match[1]), file.read_text("utf-8")) for match, file in found if match)


def migrate(connection: sqlite3.Connection) -> None:
    """The number of the last one applied is the database's `user_version`. `connection` must be in autocommit."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    known = migrations()
    newest = known[-1][0]
    if version > newest:
        raise StoreUnusable(
            f"the store was written by a later version of the gateway (schema {version}, known {newest}): "
            "run that version again, or restore a copy from before"
        )
    connection.create_function("dedupe_hash", 2, dedupe_hash, deterministic=True)
    for number, sql in known:
        if number > version:
            connection.executescript(f"BEGIN IMMEDIATE;\n{sql}\nPRAGMA user_version = {number};\nCOMMIT;")
