"""What somebody does who wants a forged request taken, a secret to leak, or the gateway to stand still."""

import base64
import hashlib
import hmac
import struct
import time
import tracemalloc
from datetime import UTC, datetime
from types import SimpleNamespace

import jwt
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from http_message_signatures import HTTPMessageSigner, HTTPSignatureKeyResolver, algorithms

from gateway.errors import ConfigError
from gateway.model import Claim, Event, VerifiedWebhook, Webhook
from gateway.outgoing import Composer
from gateway.selector import Content
from gateway.verify import PRESETS, compile_verifier
from gateway.verify.keys import MacKey
from gateway.verify.standard import VersionedKey
from gateway.verify.url import form_sorted
from tests.support.gateway_app import SECRET, configuration, gateway_without_server, signed

NOW = 1_795_341_600
JWT_KEY = "made-up-key-of-thirty-two-bytes!"
MEBIBYTE = 1_048_576
BODY = b'{"type":"thing.happened"}'


def webhook(headers=(), body=b"", query=b""):
    pairs = headers.items() if isinstance(headers, dict) else headers
    as_bytes = [
        (name.encode(), value if isinstance(value, bytes) else value.encode()) for name, value in pairs
    ]
    return Webhook(tuple(as_bytes), query, body)


def preset(name, secret, *, public_url=""):
    return compile_verifier(PRESETS[name].verify, [secret], public_url=public_url)


def is_taken(verifier, *request, now=NOW, **more):
    return isinstance(verifier.verify(webhook(*request, **more), now=now), VerifiedWebhook)


def token(**claims):
    return jwt.encode(claims, JWT_KEY, algorithm="HS256")


def mac(key, *parts):
    return hmac.new(key, b"".join(parts), hashlib.sha256).digest()


async def test_what_x_has_signed_for_anybody_who_asks_is_no_event(tmp_path):
    text = '[[sources]]\nname = "x"\npreset = "x-twitter"\nsecrets = ["made-up-consumer-secret"]\n'
    with gateway_without_server(tmp_path, text) as (client, store):
        async with client:
            for body in ("12345", "forged", "true", "AAAA+/=_-"):
                asked = await client.get("/webhooks/x", params={"crc_token": body})
                headers = {"x-twitter-webhooks-signature": asked.json()["response_token"]}
                answer = await client.post("/webhooks/x", headers=headers, content=body)
                assert answer.status_code == 401
        await store.close()


def extended(digest, length, suffix):
    """The SHA-256 of `length` unknown bytes of which `digest` is the hash, with padding and `suffix` after them; and the padding."""

    def primes(count):
        found = []
        candidate = 2
        while len(found) < count:
            if all(candidate % prime for prime in found):
                found.append(candidate)
            candidate += 1
        return found

    def cube_root_bits(number):
        root = round(number ** (1 / 3) * 2**16) << 16
        low, high = root - 2**20, root + 2**20
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if middle**3 <= number << 96 else (low, middle)
        return low & 0xFFFFFFFF

    def rotated(word, by):
        return (word >> by | word << (32 - by)) & 0xFFFFFFFF

    constants = [cube_root_bits(prime) for prime in primes(64)]
    padding = b"\x80" + bytes((55 - length) % 64) + struct.pack(">Q", length * 8)
    total = length + len(padding) + len(suffix)
    data = suffix + b"\x80" + bytes((55 - total) % 64) + struct.pack(">Q", total * 8)
    state = list(struct.unpack(">8I", digest))
    for start in range(0, len(data), 64):
        words = list(struct.unpack(">16I", data[start : start + 64]))
        for i in range(16, 64):
            one, two = words[i - 15], words[i - 2]
            low = rotated(one, 7) ^ rotated(one, 18) ^ one >> 3
            high = rotated(two, 17) ^ rotated(two, 19) ^ two >> 10
            words.append((words[i - 16] + low + words[i - 7] + high) & 0xFFFFFFFF)
        a, b, c, d, e, f, g, h = state
        for constant, word in zip(constants, words, strict=True):
            first = h + (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) + (e & f ^ ~e & g) + constant + word
            second = (rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) + (a & b ^ a & c ^ b & c)
            a, b, c, d, e, f, g, h = (first + second) & 0xFFFFFFFF, a, b, c, (d + first) & 0xFFFFFFFF, e, f, g
        state = [(old + new) & 0xFFFFFFFF for old, new in zip(state, (a, b, c, d, e, f, g, h), strict=True)]
    return struct.pack(">8I", *state), padding


def test_a_plain_hash_is_not_made_longer_by_who_does_not_know_the_secret():
    secret, body, suffix = "made-up-client-secret-of-36-characte", b'[{"eventId":1}]', b',{"eventId":2}]'
    known = hashlib.sha256(secret.encode() + body).digest()
    forged, padding = extended(known, len(secret) + len(body), suffix)
    assert forged == hashlib.sha256(secret.encode() + body + padding + suffix).digest()
    verifier = preset("hubspot-v1", secret)
    assert is_taken(verifier, {"x-hubspot-signature": known.hex()}, body)
    assert not is_taken(verifier, {"x-hubspot-signature": forged.hex()}, body + padding + suffix)


@pytest.mark.parametrize("place", ["json:value[].clientState", "json:value[*].clientState"])
@pytest.mark.parametrize(
    "items",
    [
        '{"clientState":"tok"},{}',
        '{"clientState":null},{"clientState":"tok"}',
        '{"clientState":"tok"},[]',
        "",
    ],
)
def test_every_item_of_a_list_carries_the_token_those_without_any_too(place, items):
    verifier = compile_verifier({"kind": "token", "from": place}, ["tok"])
    assert is_taken(verifier, body=b'{"value":[{"clientState":"tok"},{"clientState":"tok"}]}')
    assert not is_taken(verifier, body=f'{{"value":[{items}]}}'.encode())


@pytest.mark.parametrize(
    "path", ["value[?a].token", "value.*.token", "a[].b[].token", "[].token", "value[0:1].token"]
)
def test_a_path_that_may_leave_out_items_is_a_fault(path):
    with pytest.raises(ValueError, match="leave out"):
        compile_verifier({"kind": "token", "from": f"json:{path}"}, ["tok"])


def test_a_token_in_one_item_is_found():
    verifier = compile_verifier({"kind": "token", "from": "json:value[0].token"}, ["tok"])
    assert is_taken(verifier, body=b'{"value":[{"token":"tok"}]}')


@pytest.mark.parametrize(
    "body", [b"&" * MEBIBYTE, b"&".join(b"%x=" % n for n in range(MEBIBYTE // 7)), b"a=" + b"a" * MEBIBYTE]
)
def test_a_form_that_nobody_signed_costs_little_time_and_memory(body):
    verifier = preset("twilio-form", "made-up-token", public_url="https://gateway.example/webhooks/calls")
    tracemalloc.start()
    started = time.process_time()
    assert not is_taken(verifier, {"x-twilio-signature": "AAAA"}, body)
    seconds, (_, most) = time.process_time() - started, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < 0.3
    assert most < 20 * MEBIBYTE


def test_a_form_of_a_thousand_fields_is_sorted_and_one_more_is_not():
    assert form_sorted(b"&".join(b"f%d=1" % n for n in range(1000))) is not None
    assert form_sorted(b"&".join(b"f%d=1" % n for n in range(1001))) is None


def test_a_time_in_twitchs_body_is_not_taken_for_the_time_of_sending():
    sent, now = b"2020-01-01T00:00:00Z", b"2026-11-22T10:00:00Z"
    start, end = b'{"event":{"ends_at":"', b'","x":1}}'
    signature = mac(b"made-up-secret", b"id-1", sent, start, now, end).hex()
    headers = {
        "twitch-eventsub-message-id": b"id-1" + sent + start,
        "twitch-eventsub-message-timestamp": now,
        "twitch-eventsub-message-signature": f"sha256={signature}",
    }
    at = int(datetime.fromisoformat(now.decode()).timestamp())
    assert not is_taken(preset("twitch", "made-up-secret"), headers, end, now=at)


def test_the_beginning_of_a_body_cannot_move_into_the_query():
    url, body = "https://gateway.example/webhooks/shop?a=1", b'{"event_id":"1","data":{}}'
    signature = base64.b64encode(mac(b"made-up-secret", url.encode(), body))
    verifier = preset("square", "made-up-secret", public_url=url)
    headers = {"x-square-hmacsha256-signature": signature}
    assert is_taken(verifier, headers, body, query=b"a=1")
    for cut in range(1, len(body)):
        assert not is_taken(verifier, headers, body[cut:], query=b"a=1" + body[:cut])


def test_two_variables_with_nothing_between_them_are_a_fault():
    parameters = {
        "kind": "hmac",
        "header": "x",
        "algorithm": "sha256",
        "vars": {"a": "header:a", "b": "header:b"},
    }
    with pytest.raises(ValueError, match="nothing between"):
        compile_verifier({**parameters, "template": "{a}{b}.{body}"}, ["tok"])
    assert compile_verifier({**parameters, "template": "{a}.{b}.{body}"}, ["tok"])


class SharedKey(HTTPSignatureKeyResolver):
    def resolve_public_key(self, key_id):  # noqa: ARG002 - the library's parameters
        return b"made-up-key"

    resolve_private_key = resolve_public_key


def message_signed(*components, body=BODY, **headers):
    """Headers as the library makes them that is used for verifying; its vectors are checked elsewhere."""
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    message = SimpleNamespace(
        method="POST",
        url="https://gateway.example/webhooks/x",
        headers={"content-digest": f"sha-256=:{digest}:", **headers},
    )
    HTTPMessageSigner(signature_algorithm=algorithms.HMAC_SHA256, key_resolver=SharedKey()).sign(
        message,
        key_id="k",
        created=datetime.fromtimestamp(NOW, UTC),
        covered_component_ids=components,
        use_existing_digest=True,
    )
    return message.headers


def message_verifier(*, public_url="", **parameters):
    table = {"kind": "rfc9421", "algorithm": "hmac-sha256", "secret_encoding": "utf8", **parameters}
    return compile_verifier(table, ["made-up-key"], public_url=public_url)


def test_a_message_signature_that_covers_no_url_needs_no_public_url():
    assert is_taken(message_verifier(), message_signed("@method", "content-digest"), BODY)
    assert not is_taken(message_verifier(), message_signed("@method", "content-digest"), b"another")
    for component in ("@target-uri", "@authority", "@path", "@query"):
        assert not is_taken(message_verifier(), message_signed(component, "content-digest"), BODY)


def test_a_header_that_a_proxy_adds_in_latin_1_is_no_reason_to_refuse_a_message_signature():
    headers = message_signed("content-digest", "x-signed", **{"x-signed": "a"})
    assert is_taken(message_verifier(), {**headers, "cf-ipcity": "São Paulo".encode("latin-1")}, BODY)
    assert not is_taken(message_verifier(), [*headers.items(), ("x-signed", b"\xe9")], BODY)
    assert not is_taken(message_verifier(), [*headers.items(), ("signature", b"\xe9")], BODY)


def test_a_token_in_authorization_is_a_bearer_token_where_nothing_else_is_said():
    verifier = compile_verifier({"kind": "jwt", "algorithms": ["HS256"], "require": ["iat"]}, [JWT_KEY])
    assert is_taken(verifier, {"authorization": f"Bearer {token(iat=NOW)}"})
    assert not is_taken(verifier, {"authorization": token(iat=NOW)})


def guarded(verifier, headers, body=BODY):
    """By what a copy of the request is known."""
    return verifier.verify(webhook(headers, body), now=NOW).signature


def test_a_signature_of_an_elliptic_curve_cannot_be_turned_over_to_pass_as_another():
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    r, s = decode_dss_signature(key.sign(BODY, ec.ECDSA(hashes.SHA256())))
    parameters = {"kind": "asymmetric", "header": "x-signature", "encoding": "base64"}
    verifier = compile_verifier({**parameters, "algorithm": "ecdsa-p256-sha256"}, [public])
    signatures = [base64.b64encode(encode_dss_signature(r, one)) for one in (s, order - s)]
    one, other = (guarded(verifier, {"x-signature": signature}) for signature in signatures)
    assert one is not None
    assert one == other


def test_a_token_with_its_signature_written_in_another_way_is_the_same():
    verifier = compile_verifier({"kind": "jwt", "algorithms": ["HS256"], "require": ["iat"]}, [JWT_KEY])
    one, other = (guarded(verifier, {"authorization": f"Bearer {token(iat=NOW)}{end}"}) for end in ("", "="))
    assert one == other != guarded(verifier, {"authorization": f"Bearer {token(iat=NOW - 1)}"})


def test_a_message_signature_under_another_label_is_the_same():
    headers = message_signed("content-digest")
    relabelled = {name: value.replace("pyhms=", "other=") for name, value in headers.items()}
    spaced = {**headers, "Signature": f"  {headers['Signature']} "}
    assert guarded(message_verifier(), headers) == guarded(message_verifier(), relabelled)
    assert guarded(message_verifier(), headers) == guarded(message_verifier(), spaced)


def test_a_token_is_over_when_it_says_so_however_old_it_may_be():
    parameters = {"kind": "jwt", "algorithms": ["HS256"], "require": ["exp"], "max_age": 86_400}
    verifier = compile_verifier(parameters, [JWT_KEY])
    assert is_taken(verifier, {"authorization": f"Bearer {token(exp=NOW - 60)}"})
    assert not is_taken(verifier, {"authorization": f"Bearer {token(exp=NOW - 61)}"})


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"template": "{body}", "vars": {"body": "header:x-b"}}, "choose another name"),
        ({"template": "{url}", "vars": {"url": "header:x-b"}}, "choose another name"),
        (
            {
                "template": "{timestamp}.{body}",
                "vars": {"timestamp": "header:a"},
                "timestamp": {"from": "header:b"},
            },
            "choose another name",
        ),
        (
            {"template": "{id}", "vars": {"id": "header:x-b"}, "body_sha256_query": "h"},
            "template must have {url}",
        ),
    ],
)
def test_what_is_signed_cannot_be_replaced_by_what_is_not(parameters, complaint):
    with pytest.raises(ValueError, match=complaint):
        compile_verifier({"kind": "hmac", "header": "x", "algorithm": "sha256", **parameters}, ["tok"])


@pytest.mark.parametrize(
    "parameters",
    [
        {"kind": "hmac", "header": "x", "algorithm": "sha256"},
        {"kind": "standard", "secret_encoding": "utf8"},
        {"kind": "rfc9421", "algorithm": "hmac-sha256", "secret_encoding": "utf8"},
        {"kind": "jwt", "algorithms": ["HS256"], "require": ["iat"]},
    ],
)
def test_a_public_key_is_no_secret_that_a_producer_shares(parameters):
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    with pytest.raises(ValueError, match="a secret is"):
        compile_verifier(parameters, [pem])


@pytest.mark.parametrize(
    "query",
    [b"access_token=made-up%2Dtoken", b"a=1&%61ccess_token=made-up-token", b"access%5Ftoken=made-up-token&"],
)
def test_a_token_of_the_query_is_kept_nowhere_that_a_proxy_repeats_it(query):
    headers = {"x-original-uri": b"/webhooks/x?" + query, "referer": b"https://gateway.example/?" + query}
    verified = preset("url-token", "made-up-token").verify(webhook(headers, query=query), now=NOW)
    kept = repr(verified.webhook)
    assert "made-up" not in kept
    assert kept.count("sha256:") == 3


SHADOWED = f"""
[[sources]]
name = "moving"
preset = "standard-webhooks"
secrets = ["{SECRET}"]
shadow = {{ preset = "api-key", secrets = ["made-up-api-key"] }}

[[destinations]]
name = "app"
url = "https://destination.example/"
"""


async def test_the_token_of_a_scheme_that_is_only_tried_is_neither_kept_nor_sent_on(tmp_path):
    config = configuration(SHADOWED, tmp_path)
    with gateway_without_server(tmp_path, SHADOWED) as (client, store):
        async with client:
            headers = {**signed(BODY), "X-Api-Key": "made-up-api-key"}
            answer = await client.post("/webhooks/moving", headers=headers, content=BODY)
        record = await store.event(answer.json()["event_id"])
        await store.close()
    assert "made-up" not in repr(record)
    assert b"sha256:" in dict(record.event.webhook.headers)[b"x-api-key"]
    claim = Claim(1, 1, "app", record.event, tries=0, again=False, queued_at=0, live_since=0)
    composer = Composer(config.destinations[0], sources={source.name: source for source in config.sources})
    assert b"x-api-key" not in dict(composer.compose(claim, now=NOW).headers)


class CountingKey(MacKey):
    digests = 0

    def sign(self, message):
        type(self).digests += 1
        return MacKey.sign(self, message)


@pytest.mark.parametrize("kind", ["pagerduty", "standard-webhooks"])
def test_many_forged_signatures_cost_no_more_than_one(kind):
    if kind == "pagerduty":
        verifier, entries = preset(kind, "made-up-secret"), [f"v1={n:064x}" for n in range(16)]
        request = webhook({"x-pagerduty-signature": ",".join(entries)}, BODY)
    else:
        entries = [f"v1,{base64.b64encode(bytes([n] * 32)).decode()}" for n in range(16)]
        headers = {"webhook-id": "a", "webhook-timestamp": str(NOW), "webhook-signature": " ".join(entries)}
        verifier, request = preset(kind, SECRET), webhook(headers, BODY)
    presented = verifier.scheme.read(Content(request))
    CountingKey.digests, key = 0, CountingKey(b"another")
    assert (
        verifier.scheme.match(presented, VersionedKey(b"v1", key) if kind == "standard-webhooks" else key)
        is None
    )
    assert key.digests == 1


def test_a_digest_of_the_received_body_is_not_sent_with_another(tmp_path):
    text = """
    sources = [{ name = "linear", preset = "linear", secrets = ["made-up-secret"] }]
    destinations = [
      { name = "as-it-came", url = "https://a.example/" },
      { name = "a-part", url = "https://a.example/", payload = "json:data" },
      { name = "signed-within", url = "https://a.example/", sign = { scheme = "source" } },
    ]
    """
    config = configuration(text, tmp_path)
    digests = dict.fromkeys(("Content-Digest", "content-md5", "digest", "repr-digest"), b"of another")
    received = webhook(digests, b'{"data":{"a":1},"webhookTimestamp":1}')
    one = Event("evt_1", "linear", None, None, b"", None, 0, received, ("app",))
    claim = Claim(1, 1, "app", one, tries=0, again=False, queued_at=0, live_since=0)
    for destination, sent in zip(config.destinations, (4, 0, 0), strict=True):
        composer = Composer(destination, sources={source.name: source for source in config.sources})
        assert [value for _, value in composer.compose(claim, now=NOW).headers].count(b"of another") == sent


def test_what_is_left_of_a_token_is_not_sent_on_where_its_source_is_gone(tmp_path):
    verified = preset("postmark", "user:password").verify(
        webhook({"Authorization": b"Basic " + base64.b64encode(b"user:password"), "x-other": "a"}), now=NOW
    )
    one = Event("evt_1", "gone", None, None, b"", None, 0, verified.webhook, ("app",))
    claim = Claim(1, 1, "app", one, tries=0, again=False, queued_at=0, live_since=0)
    sent = dict(
        Composer(configuration(SHADOWED, tmp_path).destinations[0], sources={})
        .compose(claim, now=NOW)
        .headers
    )
    assert sent[b"x-other"] == b"a"
    assert b"Authorization" not in sent


def test_a_fault_does_not_quote_the_password_of_a_url(tmp_path):
    text = SHADOWED.replace("https://destination.example/", "https://user:made-up-password/")
    with pytest.raises(ConfigError) as raised:
        configuration(text, tmp_path)
    assert "made-up" not in str(raised.value)
    assert "cannot be read" in str(raised.value)
