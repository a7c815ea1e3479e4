/** A process that takes the locks it is told to, and says for each whether it got it. */
import { createLoader } from "../../devserver/loader.mjs";

const loader = await createLoader();
const { lock } = await loader.ssrLoadModule("/devserver/backend/lock.ts");
await loader.close();

process.on("message", (file) => {
  let isTaken = true;
  try {
    lock(file);
  } catch {
    isTaken = false;
  }
  process.send?.(isTaken);
});
process.send?.(true);
