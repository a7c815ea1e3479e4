"""What docs/operations.md says in figures, names and SQL is so. Its commands are done in tests/journey/test_operations.py."""

import dataclasses
import json
import re
import sqlite3
from contextlib import closing

from gateway.config import Retention
from gateway.forward import KEPT_RESPONSE_BYTES
from gateway.ingest import ANSWER_SECONDS
from gateway.protocol import Limits
from tests.support.operators_machine import PAGE, blocks
from tests.support.pages import fenced
from tests.support.process import ROOT
from tests.support.store import NOW, accept, event, open_store, rows

FIGURES = json.loads((ROOT / "docs/benchmarks.json").read_text("utf-8"))["figures"]
RATE, DAY_SECONDS = 100, 86_400
SAID = " ".join(PAGE.split())
TIMES = "\N{MULTIPLICATION SIGN}"
KEY_BYTES = 200
"""What the page says that a known duplicate takes."""
FILE = re.compile(r"\.(?:db|json|md|sh|toml|ya?ml)$")
NOT_OURS = {"mem_limit"}


def figure(name, column, row=0):
    table = FIGURES[name]
    return table["rows"][row][table["columns"].index(column)]


def default(name):
    return next(field.default for field in dataclasses.fields(Retention) if field.name == name)


def test_the_worked_example_is_what_the_benchmarks_give():
    kept = RATE * DAY_SECONDS * default("delivered_days")
    per_event = figure("disk", "bytes per event")
    body = figure("disk", "body bytes")
    beyond_days = default("dedupe_days") - default("delivered_days")
    keys = RATE * DAY_SECONDS * beyond_days * KEY_BYTES
    whole = kept * per_event + keys
    most = figure("sustained", "per second")
    cpu = figure("sustained", "CPU µs per event")
    waiting = RATE * DAY_SECONDS
    assert body == 1024
    should_say = (
        f"x {default('delivered_days')} days (`delivered_days`) = {kept / 1e6:.1f} million",
        f"{(per_event - body) / 1e3:.2f} kB and the body",
        f"{kept / 1e6:.1f} million x {per_event / 1e3:.2f} kB = {kept * per_event / 1e9:.0f} GB",
        f"x {beyond_days} days (`dedupe_days` beyond) x {KEY_BYTES / 1e3} kB = {keys / 1e9:.0f} GB",
        f"2 x {whole / 1e9:.0f} GB = {2 * whole / 1e9:.0f} GB",
        f"{RATE} x {cpu:.0f} µs = {RATE * cpu / 1e4:.1f} % of a core",
        f"{figure('sustained', 'most memory MB'):.0f} MB under full load",
        f"{figure('backlog', 'MB in all'):.0f} MB with a million waiting",
        f"{waiting / 1e6:.1f} million wait; at {most:.0f}/s they are gone in {waiting / most / 60:.0f} min",
        f"({most:.0f}/s accepted and delivered)",
        f"ready in {figure('backlog', 'start s'):.2f} s with a million waiting",
    )
    assert [words for words in should_say if words not in SAID.replace(TIMES, "x")] == []
    assert figure("backlog", "pending") > 1e6


async def test_a_key_of_a_duplicate_whose_event_is_gone_takes_no_more_than_the_page_says(tmp_path):
    path, number = tmp_path / "gateway.db", 2_000
    ids = [event(n, destinations=(), dedupe_key=f"msg_{n:024d}") for n in range(number)]
    async with open_store(path):
        pass
    at_first = used_bytes(path)
    async with open_store(path) as store:
        for first in range(0, number, 500):
            await accept(store, *ids[first : first + 500])
        while await store.prune(Retention(dedupe_days=90), now=NOW + 31 * DAY_SECONDS * 1000, limit=500):
            pass
    assert rows(path, "SELECT (SELECT count(*) FROM events), count(*) FROM dedupe_keys") == [(0, number)]
    assert (used_bytes(path) - at_first) / number < KEY_BYTES


def used_bytes(path):
    """Of the store's file, without what it will give back or use again."""
    ((pages, free, size),) = rows(
        path, "SELECT * FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
    )
    return (pages - free) * size


def test_a_destination_that_does_what_the_page_shows_has_every_event_once():
    (sql,) = blocks("Exactly once", "sql")
    table, _, transaction = sql.partition("\n\n")
    effect = "INSERT INTO effects SELECT :webhook_id WHERE changes() = 1;"
    statements = [one.strip() for one in transaction.replace("-- one row inserted", f"{effect}--").split(";")]
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE effects (of text)")
        for webhook_id in ("evt_1", "evt_2", "evt_1", "evt_1"):
            connection.execute(table)
            for statement in statements:
                connection.execute(statement, {"webhook_id": webhook_id})
        assert connection.execute("SELECT of FROM effects").fetchall() == [("evt_1",), ("evt_2",)]
        assert not connection.in_transaction


def test_every_setting_metric_and_log_event_that_the_page_names_is_described_where_all_of_them_are():
    """What is described there is held to the code by test_docs.py of each service."""
    described = "".join((ROOT / f"docs/{name}.md").read_text("utf-8") for name in ("gateway", "transcriber"))
    said = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", PAGE, flags=re.MULTILINE | re.DOTALL))
    names = {re.match(r"\w*", one)[0] for one in said if re.match(r"[a-z]+_\w+", one)} - NOT_OURS
    events = {one for one in said if re.fullmatch(r"[a-z]+\.[a-z_]+", one) and not FILE.search(one)}
    assert {"delivered_days", "gateway_destination_held", "store.copied"} <= names | events
    assert [
        name for name in sorted(names | events) if not re.search(rf"\b{re.escape(name)}\b", described)
    ] == []


def test_a_proxy_as_the_page_has_it_gives_the_gateway_all_that_it_takes():
    (nginx,) = fenced(PAGE, "nginx")
    (caddy,) = fenced(PAGE, "caddyfile")
    assert "client_max_body_size 0;" in nginx
    assert Limits().head_bytes == 65_536
    number, kib = map(int, re.search(r"large_client_header_buffers (\d+) (\d+)k;", nginx).groups())
    assert number * kib * 1024 >= Limits().head_bytes
    assert kib * 1024 >= Limits().url_bytes
    seconds = int(re.search(r"proxy_read_timeout (\d+)s;", nginx)[1])
    assert seconds >= Limits().body_seconds + ANSWER_SECONDS
    for proxy in (nginx, caddy):
        assert proxy.count("{") == proxy.count("}")
        assert proxy.count("127.0.0.1:8080") == 1
        assert "404" in proxy
    assert "answers within 1 s" in SAID


def test_the_pages_bounds_are_the_codes():
    assert KEPT_RESPONSE_BYTES == 4096
    assert "answers up to 4 KiB" in SAID
