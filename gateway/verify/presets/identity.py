"""Identity."""

from collections.abc import Mapping

from gateway.verify.preset import Preset

PRESETS: Mapping[str, Preset] = {
    "clerk": Preset(
        title="Clerk",
        verify={"kind": "standard", "prefix": "svix-"},
        secret="The signing secret of the endpoint, `whsec_` and base64, on its page under Webhooks.",
        console="Add an endpoint with the gateway's URL under Webhooks in the Dashboard.",
        safe="Id, time and body are signed, and the id is the same at every attempt.",
        dedupe_key="header:svix-id",
    ),
    "workos": Preset(
        title="WorkOS",
        verify={
            "kind": "hmac",
            "header": "workos-signature",
            "algorithm": "sha256",
            "parse": "kv",
            "item_sep": ", ",
            "field": "v1",
            "template": "{timestamp}.{body}",
            "timestamp": {"from": "field:t", "unit": "ms", "tolerance": 300},
        },
        secret="The secret of the webhook endpoint, on its page in the Dashboard.",
        console="Create a webhook endpoint with the gateway's URL under Webhooks in the Dashboard.",
        safe="Time and body are signed with the event's id in it.",
        event_type="json:event",
        dedupe_key="json:id",
    ),
    "okta": Preset(
        title="Okta (event hooks)",
        verify={"kind": "token", "from": "header:authorization"},
        secret="The whole value of the authentication secret that you enter for the event hook.",
        console="Create an event hook with the gateway's URL, the field Authorization and the secret under Workflow, Event Hooks.",
        safe="Nothing is signed, so take the body as a hint and fetch the events from the System Log; one event id is one event.",
        event_type="json:data.events[0].eventType",
        dedupe_key="json:eventId",
        handshake="okta",
    ),
    "fusionauth": Preset(
        title="FusionAuth (signed with an HMAC key)",
        verify={
            "kind": "jwt",
            "header": "x-fusionauth-signature-jwt",
            "algorithms": ["HS256"],
            "body_hash_claim": "request_body_sha256",
            "body_hash_encoding": "base64",
        },
        secret="The secret of the HMAC key with HS256 that signs the webhook, under Settings, Key Master.",
        console="Add a webhook with the gateway's URL under Settings, Webhooks, and sign its events with the key.",
        safe="The token signs the digest of the body, in which the event's id stands.",
        event_type="json:event.type",
        dedupe_key="json:event.id",
    ),
    "supabase-auth-hook": Preset(
        title="Supabase (auth hooks)",
        verify={"kind": "standard"},
        secret="The secret of the hook, `v1,whsec_` and base64, under Authentication, Hooks.",
        console="Give the gateway's URL as HTTPS endpoint of the hook under Authentication, Hooks; hooks that wait for a decision cannot be answered by the gateway.",
        safe="Id, time and body are signed, and the id is the same at every attempt.",
        dedupe_key="header:webhook-id",
    ),
}
