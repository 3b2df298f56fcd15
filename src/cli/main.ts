import { processIo } from "./processIo.ts";
import { createProgram } from "./program.ts";
import { report } from "./report.ts";

const io = processIo();
try {
  process.exitCode = await createProgram(io).run(process.argv.slice(2));
} catch (error) {
  process.exitCode = report(error, io.stderr, /--log-level[= ](debug|trace)\b/.test(process.argv.join(" ")));
}
