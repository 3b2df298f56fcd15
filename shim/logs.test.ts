import { spawnSync } from "node:child_process";
import { closeSync, openSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { cleanUp, Shim, temporaryRoot } from "./harness.ts";

afterEach(cleanUp);

const isRoot = process.getuid?.() === 0;

describe("lines", () => {
  test("each has its time, stream and tag, and the rest without newline is partial", async () => {
    const shim = Shim.sh("echo one; echo; echo two >&2; printf three");
    await shim.exited();
    expect(shim.log().filter((line) => line.stream === "stdout")).toEqual([
      { stream: "stdout", tag: "F", text: "one" },
      { stream: "stdout", tag: "F", text: "" },
      { stream: "stdout", tag: "P", text: "three" },
    ]);
    expect(shim.logged("stderr")).toBe("two\n");
  });

  test("a line that comes in pieces is one line", async () => {
    const root = temporaryRoot();
    spawnSync("mkfifo", [join(root, "fifo")]);
    const shim = Shim.sh(`printf one; read x < ${root}/fifo; echo two`, { root });
    const attached = await shim.connect();
    await attached.attach(false);
    await shim.started();
    // `one` may have come before the attach; what matters is that both halves were written apart.
    writeFileSync(join(root, "fifo"), "go\n");
    await shim.exited();
    expect(shim.log()).toEqual([{ stream: "stdout", tag: "F", text: "onetwo" }]);
  });

  test("a line of 100 kB is cut at 16384 bytes", async () => {
    const shim = Shim.sh("head -c 100000 /dev/zero | tr '\\0' x; echo; head -c 16384 /dev/zero; echo; echo end");
    await shim.exited();
    expect(shim.log().map((line) => [line.tag, line.text.length])).toEqual([
      ...Array(6).fill(["P", 16384]),
      ["F", 100_000 - 6 * 16384],
      ["F", 16384],
      ["F", 3],
    ]);
  });

  test("what the log gives back is what was written, whatever the bytes and wherever lines end", async () => {
    const length = fc.oneof(
      fc.integer({ min: 0, max: 40 }),
      fc.integer({ min: 16380, max: 16390 }),
      fc.integer({ min: 32766, max: 32770 }),
      fc.integer({ min: 65534, max: 70_000 }),
    );
    const run = fc.tuple(fc.constantFrom("\n", "\n\n", "\0", "\r\n", "\xff", "é", "a"), length, fc.boolean());
    const piece = fc.record({ stream: fc.constantFrom("stdout", "stderr"), runs: fc.array(run, { maxLength: 4 }) });
    const property = fc.asyncProperty(fc.array(piece, { maxLength: 6 }), fc.boolean(), async (pieces, rotates) => {
      const root = temporaryRoot();
      const wanted = { stdout: "", stderr: "" };
      const script = pieces.map(({ stream, runs }, index) => {
        // One byte again and again, or its line again and again.
        const text = runs.map(([bytes, n, many]) => (many ? bytes.repeat(n / bytes.length) : "x".repeat(n) + bytes));
        writeFileSync(join(root, String(index)), text.join(""), "latin1");
        wanted[stream as "stdout" | "stderr"] += text.join("");
        return `cat ${root}/${index} ${stream === "stderr" ? ">&2" : ""}`;
      });
      const options = rotates ? ["--log-max-bytes", "20000", "--log-max-files", "10000"] : [];
      const shim = Shim.sh(`:; ${script.join("; ")}`, { root, options });
      await shim.exited();
      for (const stream of ["stdout", "stderr"] as const)
        expect(shim.logged(stream) === wanted[stream], `${stream} of ${wanted[stream].length} bytes`).toBe(true);
    });
    await fc.assert(property, { numRuns: 15 });
  });
});

describe("a payload that opens its output again", () => {
  const reopening = [
    "echo first",
    "echo x > /dev/stderr",
    "echo y | tee /dev/stderr /dev/stdout",
    `python3 -c 'open("/dev/stdout","w").write("from python\\n")'`,
    "echo last",
  ].join("; ");
  const expectAll = (shim: Shim) => {
    expect(shim.logged("stderr")).toBe("x\ny\n");
    expect(shim.logged("stdout").split("\n").sort()).toEqual(["", "first", "from python", "last", "y", "y"].sort());
  };

  test("loses and truncates nothing", async () => {
    const shim = Shim.sh(reopening);
    expect(await shim.exited()).toBe("exited 0");
    expectAll(shim);
  });

  test.skipIf(!isRoot)("may do so as another user, whose pipes they are", async () => {
    // Not with Python, which may be where that user can't read.
    const script = reopening.replace(/python3 -c '[^']*'/, "echo from python");
    const argv = ["setpriv", "--reuid=65534", "--clear-groups", "sh", "-c", script];
    const shim = new Shim(["/usr/bin/setpriv"], { argv, options: ["--owner", "65534:65534"] });
    expect(await shim.exited()).toBe("exited 0");
    expectAll(shim);
    const foreign = new Shim(["/usr/bin/setpriv"], { argv });
    await foreign.exited();
    expect(foreign.logged("stderr")).toContain("ermission denied");
  });
});

describe("rotation", () => {
  const wanted = Array.from({ length: 200_000 }, (_, i) => `${i + 1}\n`).join("");

  test("loses none of 200,000 lines, and files are numbered without gaps and full, not fuller", async () => {
    const shim = Shim.sh("seq 1 200000", { options: ["--log-max-bytes", "65536", "--log-max-files", "100000"] });
    await shim.exited();
    expect(shim.logged("stdout") === wanted).toBe(true);
    const files = shim.logFiles();
    expect(files).toEqual(files.map((_, number) => `${number}.log`));
    expect(files.length).toBeGreaterThan(100);
    const sizes = files.map((name) => statSync(join(shim.root, "D/logs", name)).size);
    for (const size of sizes.slice(0, -1)) {
      expect(size).toBeGreaterThanOrEqual(65536);
      expect(size).toBeLessThan(65536 + 100);
    }
  });

  test("keeps the newest files alone", async () => {
    const shim = Shim.sh("seq 1 200000", { options: ["--log-max-bytes", "65536", "--log-max-files", "3"] });
    await shim.exited();
    const numbers = shim.logFiles().map((name) => Number.parseInt(name, 10));
    const last = numbers.at(-1) ?? 0;
    expect(last).toBeGreaterThan(100);
    expect(numbers).toEqual([last - 2, last - 1, last]);
    expect(wanted.endsWith(`\n${shim.logged("stdout")}`)).toBe(true);
  });

  test("never happens where it is switched off", async () => {
    const shim = Shim.sh("seq 1 200000", { options: ["--log-max-bytes", "0"] });
    await shim.exited();
    expect(shim.logFiles()).toEqual(["0.log"]);
    expect(shim.logged("stdout") === wanted).toBe(true);
  });
});

test("a log that can't be written stops nobody, and tells afterwards how many lines it lost", async () => {
  const root = temporaryRoot();
  spawnSync("mkfifo", [join(root, "fifo")]);
  const shim = Shim.sh(
    `echo kept; read x < ${root}/fifo; seq 1 100000; echo gone >&2; read x < ${root}/fifo; echo back; exit 3`,
    { root },
  );
  await shim.started();
  const attached = await shim.connect();
  await attached.attach(false);
  spawnSync("prlimit", ["--pid", String(shim.child.pid), "--fsize=2000:"]);
  writeFileSync(join(root, "fifo"), "go\n");
  await attached.until(
    () => attached.output[2]?.includes("gone") === true && attached.output[1]?.includes("100000\n") === true,
    "all",
  );
  const before = readFileSync(join(root, "D/logs/0.log"));
  expect(before.length).toBeLessThanOrEqual(2000);
  expect(before.at(-1)).toBe(10);
  spawnSync("prlimit", ["--pid", String(shim.child.pid), "--fsize=unlimited:"]);
  writeFileSync(join(root, "fifo"), "go\n");
  expect(await shim.exited()).toBe("exited 3");
  const lines = shim.log().map((line) => line.text);
  const kept = lines.filter((line) => /^\d+$/.test(line)).length;
  const notice = lines.find((line) => line.startsWith("hostlet: "));
  expect(lines[0]).toBe("kept");
  expect(lines.at(-1)).toBe("back");
  expect(notice).toMatch(/^hostlet: \d+ lines of output were lost, the log could not be written: File too large$/);
  expect(kept + Number(notice?.split(" ")[1])).toBe(100_001);
});

test("the exit is written, with all that was in the pipe, while a stranger holds the pipe open", async () => {
  const root = temporaryRoot();
  spawnSync("mkfifo", [join(root, "fifo")]);
  const shim = Shim.sh(`echo before; read x < ${root}/fifo; printf rest; exit 9`, { root });
  const { pid } = await shim.started();
  const pipe = openSync(`/proc/${pid}/fd/1`, "w");
  writeFileSync(join(root, "fifo"), "go\n");
  expect(await shim.exited()).toBe("exited 9");
  expect(shim.exitRecord().code).toBe("9");
  expect(shim.logged("stdout")).toBe("before\nrest");
  writeFileSync(pipe, "late");
  closeSync(pipe);
  expect(await shim.gone).toBe(0);
  expect(shim.logged("stdout")).toBe("before\nrestlate");
});
