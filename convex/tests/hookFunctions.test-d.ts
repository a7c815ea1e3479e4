/** Held by `tsc`: the references that the hook makes by path are those of the functions that are deployed. */

import type { FunctionReference } from "convex/server";
import { expectTypeOf } from "vitest";
import type { api } from "../convex/_generated/api";
import type { functionsAt } from "../react/functions";

type Called = ReturnType<typeof functionsAt>;
type Deployed = typeof api.transcriptionJobs;

/** Written out flat, so that equal types written differently are equal. */
type Flat<T> = T extends object ? { [K in keyof T]: Flat<T[K]> } : T;
type Signature<F> =
  F extends FunctionReference<infer Kind, infer Visibility, infer Args, infer Returns>
    ? Flat<{ kind: Kind; visibility: Visibility; args: Args; returns: Returns }>
    : never;

expectTypeOf<Signature<Called["list"]>>().toEqualTypeOf<Signature<Deployed["list"]>>();
expectTypeOf<Signature<Called["register"]>>().toEqualTypeOf<Signature<Deployed["register"]>>();
