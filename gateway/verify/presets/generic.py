"""Schemes without a producer: for senders of your own, and for those that are not listed."""

from collections.abc import Mapping

from gateway.verify.preset import Preset

SETTINGS = "In the settings of the sender."
SIGNED_ID = "Id, time and body are signed, and the id is the same at every attempt."
SIGNED_BODY = "The body is signed, and the same body is the same event."
SIGNED_TIME = "Time and body are signed, and the same body is the same event."
UNSIGNED = (
    "Nothing is signed, so the body is as trustworthy as the secret is; the same body is the same event."
)
SHARED = "The secret that the sender signs with, as text."
CONVOY = "The secret of the endpoint in Convoy, as text."
RFC_CONSOLE = "In the settings of the sender; the key's name is that of the examples in RFC 9421, so take these parameters into `[sources.verify]` with the `keyid` of your sender."
RFC_SAFE = (
    "The time of signing is signed, with what else the sender chose, and the same body is the same event."
)
RFC_SAFE_BODY = (
    "The time of signing and the digest of the body are signed, and the same body is the same event."
)

PRESETS: Mapping[str, Preset] = {
    "standard-webhooks": Preset(
        title="Standard Webhooks",
        verify={"kind": "standard", "prefix": "webhook-"},
        secret="The signing secret, `whsec_` and base64, or the public key, `whpk_` and base64, if the sender signs with ed25519.",
        console=SETTINGS,
        safe=SIGNED_ID,
        dedupe_key="header:webhook-id",
    ),
    "svix": Preset(
        title="Svix",
        verify={"kind": "standard", "prefix": "svix-"},
        secret="The signing secret of the endpoint, `whsec_` and base64.",
        console=SETTINGS,
        safe=SIGNED_ID,
        dedupe_key="header:svix-id",
    ),
    "cloudevents": Preset(
        title="CloudEvents (structured, Bearer)",
        verify={"kind": "token", "from": "bearer"},
        secret="The token that the sender sends as `Authorization: Bearer`.",
        console="In the subscription of the sender.",
        safe="Nothing is signed, so the body is as trustworthy as the token is; source and id together are one event.",
        dedupe_key="json:join(' ', [source, id])",
        handshake="cloudevents",
    ),
    "cloudevents-binary": Preset(
        title="CloudEvents (binary, Bearer)",
        verify={"kind": "token", "from": "bearer"},
        secret="The token that the sender sends as `Authorization: Bearer`.",
        console="In the subscription of the sender.",
        safe="Nothing is signed, so everything is as trustworthy as the token is; one id is one event, and another body under it, such as that of another source, is kept as a new one.",
        event_type="header:ce-type",
        dedupe_key="header:ce-id",
        handshake="cloudevents",
    ),
    "basic": Preset(
        title="Basic authentication",
        verify={"kind": "token", "from": "basic"},
        secret="`user:password`, as the sender knows them.",
        console=SETTINGS,
        safe=UNSIGNED,
    ),
    "bearer": Preset(
        title="Bearer token",
        verify={"kind": "token", "from": "bearer"},
        secret="The token that the sender sends as `Authorization: Bearer`.",
        console=SETTINGS,
        safe=UNSIGNED,
    ),
    "api-key": Preset(
        title="API key in a header",
        verify={"kind": "token", "from": "header:x-api-key"},
        secret="The key that the sender sends as `X-API-Key`.",
        console=SETTINGS,
        safe=UNSIGNED,
    ),
    "url-token": Preset(
        title="Token in the URL",
        verify={"kind": "token", "from": "query:access_token"},
        secret="A long random value of your own.",
        console="In the settings of the sender, with `?access_token=` and the value behind it.",
        safe=UNSIGNED,
    ),
    "hmac-sha1-hex": Preset(
        title="HMAC-SHA1 of the body, hexadecimal",
        verify={"kind": "hmac", "header": "x-signature", "algorithm": "sha1"},
        secret=SHARED,
        console=SETTINGS,
        safe=SIGNED_BODY,
    ),
    "hmac-sha256-hex": Preset(
        title="HMAC-SHA256 of the body, hexadecimal",
        verify={"kind": "hmac", "header": "x-signature", "algorithm": "sha256"},
        secret=SHARED,
        console=SETTINGS,
        safe=SIGNED_BODY,
    ),
    "hmac-sha256-base64": Preset(
        title="HMAC-SHA256 of the body, base64",
        verify={"kind": "hmac", "header": "x-signature", "algorithm": "sha256", "encoding": "base64"},
        secret=SHARED,
        console=SETTINGS,
        safe=SIGNED_BODY,
    ),
    "hmac-sha512-hex": Preset(
        title="HMAC-SHA512 of the body, hexadecimal",
        verify={"kind": "hmac", "header": "x-signature", "algorithm": "sha512"},
        secret=SHARED,
        console=SETTINGS,
        safe=SIGNED_BODY,
    ),
    "convoy-hex256": Preset(
        title="Convoy (simple, SHA-256, hexadecimal)",
        verify={"kind": "hmac", "header": "x-convoy-signature", "algorithm": "sha256"},
        secret=CONVOY,
        console=SETTINGS,
        safe=SIGNED_BODY,
    ),
    "convoy-b64-256": Preset(
        title="Convoy (simple, SHA-256, base64)",
        verify={
            "kind": "hmac",
            "header": "x-convoy-signature",
            "algorithm": "sha256",
            "encoding": "base64",
        },
        secret=CONVOY,
        console=SETTINGS,
        safe=SIGNED_BODY,
    ),
    "convoy-hex512": Preset(
        title="Convoy (simple, SHA-512, hexadecimal)",
        verify={"kind": "hmac", "header": "x-convoy-signature", "algorithm": "sha512"},
        secret=CONVOY,
        console=SETTINGS,
        safe=SIGNED_BODY,
    ),
    "convoy-b64-512": Preset(
        title="Convoy (simple, SHA-512, base64)",
        verify={
            "kind": "hmac",
            "header": "x-convoy-signature",
            "algorithm": "sha512",
            "encoding": "base64",
        },
        secret=CONVOY,
        console=SETTINGS,
        safe=SIGNED_BODY,
    ),
    "convoy-adv-hex256": Preset(
        title="Convoy (advanced, SHA-256, hexadecimal)",
        verify={
            "kind": "hmac",
            "header": "x-convoy-signature",
            "algorithm": "sha256",
            "parse": "kv",
            "field": "v1",
            "template": "{timestamp},{body}",
            "timestamp": {"from": "field:t", "tolerance": 300},
        },
        secret=CONVOY,
        console=SETTINGS,
        safe=SIGNED_TIME,
    ),
    "convoy-adv-b64-256": Preset(
        title="Convoy (advanced, SHA-256, base64)",
        verify={
            "kind": "hmac",
            "header": "x-convoy-signature",
            "algorithm": "sha256",
            "parse": "kv",
            "field": "v1",
            "encoding": "base64",
            "template": "{timestamp},{body}",
            "timestamp": {"from": "field:t", "tolerance": 300},
        },
        secret=CONVOY,
        console=SETTINGS,
        safe=SIGNED_TIME,
    ),
    "jwt-hs256-bodyhash": Preset(
        title="JWT with a digest of the body (HS256)",
        verify={
            "kind": "jwt",
            "header": "authorization",
            "scheme": "Bearer",
            "algorithms": ["HS256"],
            "require": ["iat"],
            "max_age": 300,
            "body_hash_claim": "payload_hash",
        },
        secret="The secret that the sender signs its tokens with, as text.",
        console=SETTINGS,
        safe="The token signs its id, its time and the digest of the body.",
        dedupe_key="claim:jti",
    ),
    "rfc9421-hmac": Preset(
        title="HTTP Message Signatures (HMAC)",
        verify={
            "kind": "rfc9421",
            "algorithm": "hmac-sha256",
            "keyid": "test-shared-secret",
            "max_age": 300,
        },
        secret="The key that is shared with the sender, base64.",
        console=RFC_CONSOLE,
        safe=RFC_SAFE,
    ),
    "rfc9421-hmac-strict": Preset(
        title="HTTP Message Signatures (HMAC over method, URL and body)",
        verify={
            "kind": "rfc9421",
            "algorithm": "hmac-sha256",
            "keyid": "test-shared-secret",
            "max_age": 300,
            "require_components": ["@method", "@target-uri", "content-digest"],
        },
        secret="The key that is shared with the sender, base64.",
        console=RFC_CONSOLE,
        safe=RFC_SAFE_BODY,
    ),
    "rfc9421-ed25519": Preset(
        title="HTTP Message Signatures (Ed25519)",
        verify={
            "kind": "rfc9421",
            "algorithm": "ed25519",
            "keyid": "test-key-ed25519",
            "max_age": 300,
        },
        secret="The public key of the sender, PEM.",
        console=RFC_CONSOLE,
        safe=RFC_SAFE,
    ),
    "rfc9421-rsa-pss": Preset(
        title="HTTP Message Signatures (RSA-PSS)",
        verify={
            "kind": "rfc9421",
            "algorithm": "rsa-pss-sha512",
            "keyid": "test-key-rsa-pss",
            "max_age": 300,
        },
        secret="The public key of the sender, PEM.",
        console=RFC_CONSOLE,
        safe=RFC_SAFE,
    ),
    "rfc9421-rsa-pss-digest": Preset(
        title="HTTP Message Signatures (RSA-PSS over the body)",
        verify={
            "kind": "rfc9421",
            "algorithm": "rsa-pss-sha512",
            "keyid": "test-key-rsa-pss",
            "max_age": 300,
            "require_components": ["content-digest"],
        },
        secret="The public key of the sender, PEM.",
        console=RFC_CONSOLE,
        safe=RFC_SAFE_BODY,
    ),
}
