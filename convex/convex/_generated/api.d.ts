/* eslint-disable */
/**
 * Generated `api` utility.
 *
 * THIS CODE IS AUTOMATICALLY GENERATED.
 *
 * To regenerate, run `npx convex dev`.
 * @module
 */

import type * as crons from "../crons.js";
import type * as http from "../http.js";
import type * as model_access from "../model/access.js";
import type * as model_jobUpdate from "../model/jobUpdate.js";
import type * as model_problem from "../model/problem.js";
import type * as model_row from "../model/row.js";
import type * as model_webhookKey from "../model/webhookKey.js";
import type * as transcriptionJobs from "../transcriptionJobs.js";

import type {
  ApiFromModules,
  FilterApi,
  FunctionReference,
} from "convex/server";

declare const fullApi: ApiFromModules<{
  crons: typeof crons;
  http: typeof http;
  "model/access": typeof model_access;
  "model/jobUpdate": typeof model_jobUpdate;
  "model/problem": typeof model_problem;
  "model/row": typeof model_row;
  "model/webhookKey": typeof model_webhookKey;
  transcriptionJobs: typeof transcriptionJobs;
}>;

/**
 * A utility for referencing Convex functions in your app's public API.
 *
 * Usage:
 * ```js
 * const myFunctionReference = api.myModule.myFunction;
 * ```
 */
export declare const api: FilterApi<
  typeof fullApi,
  FunctionReference<any, "public">
>;

/**
 * A utility for referencing Convex functions in your app's internal API.
 *
 * Usage:
 * ```js
 * const myFunctionReference = internal.myModule.myFunction;
 * ```
 */
export declare const internal: FilterApi<
  typeof fullApi,
  FunctionReference<any, "internal">
>;

export declare const components: {};
