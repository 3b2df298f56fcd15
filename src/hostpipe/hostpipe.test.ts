import { spawn } from "node:child_process";
import {
  chmodSync,
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../clock.ts";
import { LineSplitter, longestLine } from "./lines.ts";
import { serveFifo } from "./serveFifo.ts";

describe("lines out of a pipe", () => {
  it("come through whole, in whatever pieces they come", () => {
    const line = fc.string({ unit: "binary" }).map((text) => text.replaceAll(/[\n\0]/g, "x"));
    fc.assert(
      fc.property(fc.array(line), fc.integer({ min: 1, max: 7 }), (lines, size) => {
        const bytes = Buffer.from(lines.map((text) => `${text}\n`).join(""));
        const splitter = new LineSplitter();
        const found: string[] = [];
        for (let at = 0; at < bytes.length; at += size)
          found.push(...splitter.push(bytes.subarray(at, at + size)).lines);
        expect(found).toEqual(lines.filter((text) => text.trim() !== ""));
      }),
    );
  });

  it.each([
    ["half of a command, whose writer is gone", "rm -rf /home/me", true],
    ["what is too long for a command", `${"x".repeat(longestLine + 1)}\n`, false],
    ["a NUL", "a\0b\n", false],
  ])("%s is dropped, and said", (_, text, atEnd) => {
    const splitter = new LineSplitter();
    const pushed = splitter.push(Buffer.from(text));
    const ended = atEnd ? splitter.end() : { lines: [], dropped: [] };
    expect([...pushed.lines, ...ended.lines]).toEqual([]);
    expect([...pushed.dropped, ...ended.dropped]).toHaveLength(1);
    expect(splitter.push(Buffer.from("next\n")).lines).toEqual(["next"]);
  });
});

describe("a FIFO", () => {
  let dir: string;
  let fifo: string;
  let abort: AbortController;
  let records: string[];
  let wake: () => void;

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "hostlet-fifo-"));
    fifo = join(dir, "pipe/vk-cmd");
    abort = new AbortController();
    records = [];
    wake = () => {};
  });
  afterEach(() => {
    abort.abort();
    rmSync(dir, { recursive: true, force: true });
  });

  const serve = async (parallel = 1) => {
    let done: Promise<void> = Promise.resolve();
    await new Promise<void>((resolve, reject) => {
      done = serveFifo({
        path: fifo,
        cwd: dir,
        parallel,
        logFile: join(dir, "log"),
        echo: (record) => {
          records.push(record.trimEnd().split(" ").slice(1).join(" "));
          wake();
        },
        ready: resolve,
        clock: systemClock,
        signal: abort.signal,
        kill: abort.signal,
      });
      done.catch(reject);
    });
    const end = () => {
      abort.abort();
      return done;
    };
    return { end };
  };
  const until = (holds: () => boolean) =>
    new Promise<void>((resolve) => {
      wake = () => holds() && resolve();
      wake();
    });
  const exits = () => records.filter((record) => /^\d+ exit \d+$/.test(record));

  it("runs each line as a shell does, with output and exit code in the log, one after another", async () => {
    const { end } = await serve();
    writeFileSync(
      fifo,
      "sleep 0.1; echo one > first; cat first\n\n  false\n exit 3\nkill -9 $$\necho err >&2; echo -n open\n",
    );
    await until(() => exits().length === 5);
    await end();
    expect(records.filter((record) => !record.includes(" run "))).toEqual([
      ...["1 out one", "1 exit 0", "2 exit 1", "3 exit 3", "4 exit 137"],
      ...["5 err err", "5 out open", "5 exit 0"],
    ]);
    expect(readFileSync(join(dir, "log"), "utf8")).toContain(" 5 run echo err >&2; echo -n open\n");
    expect(statSync(join(dir, "log")).mode & 0o777).toBe(0o600);
    expect(statSync(fifo).mode & 0o777).toBe(0o600);
  });

  it("survives writers that die in mid-line, and runs nothing of theirs", async () => {
    const { end } = await serve();
    const fd = openSync(fifo, constants.O_WRONLY);
    writeSync(fd, "touch half");
    closeSync(fd);
    await until(() => records.some((record) => / drop /.test(record)));
    writeFileSync(fifo, "echo whole\n");
    await until(() => exits().length === 1);
    await end();
    expect(records).toEqual([
      "0 drop 10 bytes without a line break, whose writer is gone",
      "1 run echo whole",
      "1 out whole",
      "1 exit 0",
    ]);
  });

  it("takes many lines at once from many writers, and loses none", async () => {
    const { end } = await serve(8);
    // As pods write: a shell each, all at the same time.
    const script = (n: number) => `for i in $(seq 30); do echo ": ${n} $i"; done > ${fifo}`;
    const writers = Array.from({ length: 10 }, (_, n) => spawn("/bin/bash", ["-c", script(n)], { stdio: "ignore" }));
    const wrote = writers.map((writer) => new Promise((resolve) => writer.once("exit", resolve)));
    await until(() => exits().length === 300);
    await Promise.all(wrote);
    await end();
    const ran = records.filter((record) => / run /.test(record)).map((record) => record.split(" run ")[1]);
    expect(new Set(ran).size).toBe(300);
    expect(exits().filter((record) => !record.endsWith(" 0"))).toEqual([]);
  });

  it("waits for none that holds its output for ever", async () => {
    const { end } = await serve();
    writeFileSync(fifo, "sleep 1000 & echo $! started\n");
    await until(() => exits().length === 1);
    const pid = Number(records.find((record) => /out \d+ started/.test(record))?.split(" ")[2]);
    process.kill(pid, "SIGKILL");
    await end();
  });

  it("ends what still runs when it is ended", async () => {
    const { end } = await serve();
    writeFileSync(fifo, "sleep 1000\n");
    await until(() => records.length === 1);
    await end();
    expect(exits()[0]).toMatch(/^1 exit (137|143)$/);
  });

  it.each([
    ["a file", () => writeFileSync(fifo, "echo lost\n"), /is no FIFO/],
    [
      "open to others",
      () =>
        serve()
          .then(({ end }) => end())
          .then(() => chmodSync(fifo, 0o622)),
      /others may write/,
    ],
  ])("that is %s is an error", async (_, make, message) => {
    mkdirSync(join(dir, "pipe"), { recursive: true });
    await make();
    abort = new AbortController();
    await expect(serve()).rejects.toThrow(message);
  });
});
