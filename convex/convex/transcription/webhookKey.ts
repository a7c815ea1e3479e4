/** The key that shows that a request comes from the gateway. */

/**
 * Whether an `Authorization` header is `Bearer` and one of the keys. Takes the same time
 * whichever character differs and whichever key it is: digests are compared, whole, with all keys.
 */
export async function isBearerOf(header: string | null, keys: readonly string[]): Promise<boolean> {
  const token = /^Bearer +(\S+)$/i.exec(header ?? "")?.[1] ?? "";
  const given = await digest(token);
  let matches = false;
  for (const key of keys) {
    matches = isEqual(given, await digest(key)) || matches;
  }
  return matches && token !== "";
}

async function digest(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}

/** Looks at every byte. Both have the length of a digest. */
function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  let difference = 0;
  a.forEach((byte, index) => (difference |= byte ^ (b[index] ?? 0)));
  return difference === 0;
}
