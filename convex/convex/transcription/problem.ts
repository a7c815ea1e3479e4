/** RFC 9457 answers, each with a `code` that a program can act on. */

const KINDS = {
  unauthorized: { status: 401, title: "Unauthorized" },
  too_large: { status: 413, title: "Content Too Large" },
  invalid_job: { status: 400, title: "Bad Request" },
  owner_mismatch: { status: 409, title: "Conflict" },
  unknown_job: { status: 404, title: "Not Found" },
  not_configured: { status: 503, title: "Service Unavailable" },
  unavailable: { status: 503, title: "Service Unavailable" },
} as const;

export type ProblemCode = keyof typeof KINDS;

/** An expected end of a request: thrown where it is found, answered at the edge. */
export class Problem extends Error {
  constructor(
    readonly code: ProblemCode,
    detail: string,
  ) {
    super(detail);
  }

  response(): Response {
    const { status, title } = KINDS[this.code];
    const body = { type: "about:blank", title, status, detail: this.message, code: this.code };
    return new Response(JSON.stringify(body), {
      status,
      headers: {
        "Content-Type": "application/problem+json",
        ...(status === 401 && { "WWW-Authenticate": "Bearer" }),
      },
    });
  }
}
