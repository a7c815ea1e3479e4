// For each line of JSON, a request and the time in seconds, a line: whether the producer's package accepts it.
import { createInterface } from "node:readline";

import { LinearWebhookClient } from "@linear/sdk/webhooks";
import { verify } from "@octokit/webhooks-methods";
import "@shopify/shopify-api/adapters/node";
import { shopifyApi } from "@shopify/shopify-api";

const ACCEPTS = {
  github: ({ secret, body, headers }) => verify(secret, body, headers["x-hub-signature-256"]),

  linear: ({ secret, body, headers }) =>
    new LinearWebhookClient(secret).verify(Buffer.from(body), headers["linear-signature"]),

  shopify: async ({ secret, body, ...rawRequest }) => {
    const shopify = shopifyApi({
      apiKey: "made-up",
      apiSecretKey: secret,
      apiVersion: "2026-07",
      hostName: "hooks.example.com",
      isEmbeddedApp: false,
      logger: { log: () => {} },
    });
    return (await shopify.webhooks.validate({ rawBody: body, rawRequest, rawResponse: {} })).valid;
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { producer, now, ...request } = JSON.parse(line);
  Date.now = () => now * 1000;
  const accepted = await Promise.resolve(request)
    .then(ACCEPTS[producer])
    .catch((error) => String(error));
  console.log(JSON.stringify(accepted));
}
