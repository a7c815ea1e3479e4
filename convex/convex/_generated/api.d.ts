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
import type * as transcription_access from "../transcription/access.js";
import type * as transcription_crons from "../transcription/crons.js";
import type * as transcription_environment from "../transcription/environment.js";
import type * as transcription_jobUpdate from "../transcription/jobUpdate.js";
import type * as transcription_problem from "../transcription/problem.js";
import type * as transcription_routes from "../transcription/routes.js";
import type * as transcription_row from "../transcription/row.js";
import type * as transcription_tables from "../transcription/tables.js";
import type * as transcription_webhookKey from "../transcription/webhookKey.js";
import type * as transcriptionJobs from "../transcriptionJobs.js";

import type {
  ApiFromModules,
  FilterApi,
  FunctionReference,
} from "convex/server";

declare const fullApi: ApiFromModules<{
  crons: typeof crons;
  http: typeof http;
  "transcription/access": typeof transcription_access;
  "transcription/crons": typeof transcription_crons;
  "transcription/environment": typeof transcription_environment;
  "transcription/jobUpdate": typeof transcription_jobUpdate;
  "transcription/problem": typeof transcription_problem;
  "transcription/routes": typeof transcription_routes;
  "transcription/row": typeof transcription_row;
  "transcription/tables": typeof transcription_tables;
  "transcription/webhookKey": typeof transcription_webhookKey;
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
