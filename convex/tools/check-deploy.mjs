/** `npm run check:deploy`: runs the official `convex deploy` to its end and looks at what it uploads. */
import { runConvex } from "./deployment-stub.mjs";
import { faultsOf } from "./uploaded-modules.mjs";
import { withCopy } from "./workspace.mjs";

const run = await withCopy((directory) => runConvex(["deploy", "--yes"], { directory }));
const faults = faultsOf(run.pushed);
if (run.code !== 0) faults.push(`convex deploy ended with ${run.code}:\n${run.output}`);
if (!run.finished) faults.push("convex deploy did not finish its push");
for (const fault of faults) console.error(fault);
if (faults.length === 0) console.log("convex deploy uploads exactly the expected modules");
process.exitCode = faults.length === 0 ? 0 : 1;
