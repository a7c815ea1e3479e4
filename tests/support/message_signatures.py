"""HTTP message signatures (RFC 9421) made by hand, without the library that verifies them."""

from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.support.verifying import NOW, in_base64, mac

URL = "https://gateway.example/webhooks/partner"


def signed(
    covered: Sequence[str],
    headers: Mapping[str, str],
    *,
    algorithm: str,
    key: Any,
    label: str = "s",
    query: str = "",
    **parameters: str | int | None,
) -> dict[str, str]:
    """The headers of a POST to URL. Of `parameters` (created, expires, keyid, alg, tag), those that are None are left out."""
    url = f"{URL}?{query}" if query else URL
    values = {
        "@method": "POST",
        "@target-uri": url,
        "@authority": "gateway.example",
        "@scheme": "https",
        "@path": "/webhooks/partner",
        "@query": f"?{query}",
        "@request-target": url.removeprefix("https://gateway.example"),
        '"@query-param";name="a"': query.removeprefix("a="),
        **headers,
    }
    names = [name if name.startswith('"') else f'"{name}"' for name in covered]
    lines = [f"{name}: {values[key]}" for name, key in zip(names, covered, strict=True)]
    written = [
        f";{name}={value}" if isinstance(value, int) else f';{name}="{value}"'
        for name, value in ({"created": NOW, "keyid": "k", "alg": algorithm} | parameters).items()
        if value is not None
    ]
    inner = f"({' '.join(names)}){''.join(written)}"
    base = "\n".join([*lines, f'"@signature-params": {inner}'])
    signature = in_base64(_signature(algorithm, key, base.encode()))
    return {**headers, "signature-input": f"{label}={inner}", "signature": f"{label}=:{signature}:"}


def _signature(algorithm: str, key: Any, base: bytes) -> bytes:
    match algorithm:
        case "hmac-sha256":
            return mac(base, key=key)
        case "ed25519":
            return bytes(key.sign(base))
        case "ecdsa-p256-sha256":
            r, s = decode_dss_signature(key.sign(base, ec.ECDSA(hashes.SHA256())))
            return r.to_bytes(32) + s.to_bytes(32)
        case "rsa-pss-sha512":
            pss = padding.PSS(padding.MGF1(hashes.SHA512()), 64)
            return bytes(key.sign(base, pss, hashes.SHA512()))
        case _:
            return bytes(key.sign(base, padding.PKCS1v15(), hashes.SHA256()))
