/** Who a token says its bearer is. Nothing is verified: this is a backend for development. */
import type { Identity } from "./backend";

/** The identity in a JSON Web Token, or null where the text is none with a `sub` and an `iss`. */
export function identityOf(token: string): Identity {
  const claims = claimsOf(token);
  if (typeof claims?.sub !== "string" || typeof claims.iss !== "string") return null;
  const { sub, iss, ...others } = claims;
  return { ...others, subject: sub, issuer: iss, tokenIdentifier: `${iss}|${sub}` };
}

/** The identity of an `Authorization: Bearer` header; another bearer (an API key) is nobody. */
export function identityOfHeader(header: string | undefined): Identity {
  return identityOf(/^Bearer +(\S+)$/i.exec(header ?? "")?.[1] ?? "");
}

function claimsOf(token: string): Record<string, string> | null {
  const [, payload] = token.split(".");
  if (payload === undefined) return null;
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, "base64url").toString("utf8"));
    return typeof claims === "object" ? (claims as Record<string, string> | null) : null;
  } catch {
    return null;
  }
}
