import { readFile } from "node:fs/promises";
import { PassThrough } from "node:stream";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { errorCodes, HostletError } from "../errors.ts";
import type { ContainerStatus, Event, Pod } from "../kube/types.ts";
import { hostletVersion } from "../node/nodeObject.ts";
import { type Io, type Output, Prefixes } from "./console.ts";
import { LogLines } from "./logLines.ts";
import { eventNews, podNews, schedulingNews } from "./news.ts";
import { exitCode } from "./outcome.ts";
import { createProgram } from "./program.ts";
import { report } from "./report.ts";
import { version } from "./version.ts";

const pod = (phase: string, containerStatuses: Partial<ContainerStatus>[], more: object = {}): Pod =>
  ({ status: { phase, containerStatuses, ...more } }) as Pod;
const ended = (exitCode: number, more: object = {}) => ({
  name: "c",
  restartCount: 0,
  state: { terminated: { exitCode, startedAt: "t", ...more } },
});

describe("what run exits with", () => {
  test.each<[string, Pod[], number]>([
    ["all succeeded", [pod("Succeeded", [ended(0)]), pod("Succeeded", [ended(0)])], 0],
    [
      "the highest of all containers of those that did not",
      [pod("Failed", [ended(2), ended(9)]), pod("Failed", [ended(4)])],
      9,
    ],
    ["1 for a pod that failed without an exit code", [pod("Failed", [])], 1],
    ["1 where every container of a failed pod exited with 0", [pod("Failed", [ended(0)])], 1],
    ["1 for a pod that was deleted while it ran", [pod("Running", [{ name: "c", state: { running: {} } }])], 1],
    [
      "a container that never began has no exit code",
      [pod("Failed", [ended(137, { reason: "ContainerStatusUnknown", startedAt: undefined })])],
      1,
    ],
    [
      "how a sidecar ends does not count",
      [
        {
          spec: { containers: [], initContainers: [{ name: "s", restartPolicy: "Always" }] },
          status: {
            phase: "Failed",
            containerStatuses: [ended(3)],
            initContainerStatuses: [{ ...ended(143), name: "s" }],
          },
        } as unknown as Pod,
      ],
      3,
    ],
  ])("%s", (_, pods, expected) => expect(exitCode(pods)).toBe(expected));
});

describe("news of a pod", () => {
  test.each<[string, Pod, string[]]>([
    [
      "a container on its way is none",
      pod("Pending", [{ name: "c", state: { waiting: { reason: "ContainerCreating" } } }]),
      [],
    ],
    [
      "one that can't be made is",
      pod("Pending", [{ name: "c", state: { waiting: { reason: "ErrImagePull", message: "why" } } }]),
      ["p/c: waiting: ErrImagePull: why"],
    ],
    ["an exit code", pod("Failed", [ended(3, { reason: "Error" })]), ["p/c: exit code 3", "p: Failed"]],
    [
      "a signal",
      pod("Running", [ended(137, { signal: 9, reason: "OOMKilled" })]),
      ["p/c: ended by signal 9, exit code 137: OOMKilled"],
    ],
    [
      "why the node ended it",
      pod("Failed", [], { reason: "Evicted", message: "no memory\n" }),
      ["p: Failed: Evicted: no memory"],
    ],
    ["success", pod("Succeeded", [ended(0)]), ["p: Succeeded"]],
  ])("%s", (_, object, expected) => expect(podNews(object, "p")).toEqual(expected));

  test("why it has no node", () => {
    const conditions = [{ type: "PodScheduled", status: "False", reason: "Unschedulable", message: "0/1 nodes" }];
    expect(schedulingNews(pod("Pending", [], { conditions }), "p")).toEqual(["p: not scheduled: 0/1 nodes"]);
  });

  test("Warnings are, unless the status says the same", () => {
    const event = (type: string, reason: string) => ({ type, reason, message: "m" }) as Event;
    expect(eventNews(event("Warning", "FailedMount"), "p")).toBe("p: FailedMount: m");
    expect(eventNews(event("Normal", "Started"), "p")).toBeUndefined();
    expect(eventNews(event("Warning", "FailedScheduling"), "p")).toBeUndefined();
  });
});

describe("log lines", () => {
  const text = (lines: Buffer[]) => Buffer.concat(lines).toString();
  const stamped = (lines: string[], perStamp: number) =>
    lines
      .map((line, i) => `2026-01-01T00:00:00.${String(Math.floor(i / perStamp)).padStart(9, "0")}Z ${line}\n`)
      .join("");

  test("come out whole and once, however the stream is cut, and however often it has to be asked for again", () => {
    const line = fc.string({ unit: "binary" }).map((s) => s.replaceAll("\n", ""));
    fc.assert(
      fc.property(
        fc.array(line, { maxLength: 20 }),
        fc.integer({ min: 1, max: 4 }),
        fc.array(fc.nat(500), { maxLength: 3 }),
        fc.integer({ min: 1, max: 50 }),
        (lines, perStamp, cuts, size) => {
          const log = Buffer.from(stamped(lines, perStamp));
          const reader = new LogLines();
          const got: Buffer[] = [];
          for (const end of [...cuts, log.length]) {
            reader.restart();
            for (let at = 0; at < Math.min(end, log.length); at += size)
              got.push(...reader.push(log.subarray(at, Math.min(at + size, end, log.length))));
          }
          got.push(...reader.end());
          expect(text(got)).toBe(lines.map((l) => `${Buffer.from(l)}\n`).join(""));
        },
      ),
    );
  });

  test("a last line without newline gets one", () => {
    const reader = new LogLines();
    expect(text(reader.push(Buffer.from("2026-01-01T00:00:00.000000000Z a\n2026-01-01T00:00:01.000000000Z b")))).toBe(
      "a\n",
    );
    expect(text(reader.end())).toBe("b\n");
    expect(reader.end()).toEqual([]);
  });

  test("a line without timestamp is passed on", () => {
    expect(text(new LogLines().push(Buffer.from("rotated too fast\n")))).toBe("rotated too fast\n");
  });
});

test("prefixes are of one width, and coloured where the output shows it", () => {
  const plain = new Prefixes(["a/b", "long/name"], new PassThrough(), {});
  expect([plain.of("a/b").toString(), plain.of("long/name").toString()]).toEqual(["[a/b]       ", "[long/name] "]);
  const terminal: Output = Object.assign(new PassThrough(), {
    isTTY: true,
    hasColors: (env: NodeJS.ProcessEnv) => !env.NO_COLOR,
  });
  expect(new Prefixes(["a"], terminal, {}).of("a").toString()).toBe("\x1b[36m[a] \x1b[0m");
  expect(new Prefixes(["a"], terminal, { NO_COLOR: "1" }).of("a").toString()).toBe("[a] ");
});

describe("errors", () => {
  const said = (error: unknown, stack = false): [number, string] => {
    const stderr = new PassThrough();
    return [report(error, stderr, stack), String(stderr.read())];
  };

  test("one line and the code, the stack only where asked for", () => {
    expect(said(new HostletError("StateLocked", "x: in use"))).toEqual([3, "error: x: in use (StateLocked)\n"]);
    expect(said(new TypeError("oops"))).toEqual([1, "error: unexpected: oops; --log-level=debug tells more\n"]);
    const cause = new Error("the cause");
    expect(said(new HostletError("ApiFailed", "x", { cause }), true)[1]).toMatch(
      /cli\.test\.ts[\s\S]*caused by Error: the cause/,
    );
  });

  test("docs/reference/errors.md has every code, with its exit code, and no other", async () => {
    const page = await readFile(new URL("../../docs/reference/errors.md", import.meta.url), "utf8");
    const codes = [...page.matchAll(/^## (\w+)\n\nExit code (\d)\./gm)].map(([, code, exit]) => [
      code,
      { exitCode: Number(exit) },
    ]);
    expect(Object.fromEntries(codes)).toEqual(errorCodes);
  });
});

describe("the command line", () => {
  const call = async (...args: string[]) => {
    const [stdout, stderr] = [new PassThrough(), new PassThrough()];
    const io: Io = { stdin: new PassThrough(), stdout, stderr, env: {}, onSignal: () => () => {} };
    const code = await createProgram(io)
      .run(args)
      .catch((error: unknown) => report(error, stderr, false));
    return { code, stdout: String(stdout.read() ?? ""), stderr: String(stderr.read() ?? "") };
  };

  test.each([
    [["--help"], 0, "Usage: hostlet", ""],
    [["run", "--help"], 0, "--timeout", ""],
    [["--version"], 0, version, ""],
    [["version"], 0, `hostlet ${version}`, ""],
    [["rum"], 2, "", "Did you mean run?"],
    [["run", "--nonsense"], 2, "", "unknown option '--nonsense'"],
    [["run"], 2, "", "no manifest"],
    [["run", "x", "--port", "70000"], 2, "", "--port: must be 0 to 65535"],
    [["run", "x", "--timeout", "soon"], 2, "", "--timeout: must be a duration"],
    [["run", "/nonexistent.yaml"], 2, "", "error: /nonexistent.yaml: no such file or directory (ManifestInvalid)\n"],
    [["up", "extra"], 2, "", "too many arguments"],
    [["up", "--path-layout", "flat"], 2, "", "--path-layout: must be namespace or pod"],
  ])("%j", async (args, code, stdout, stderr) => {
    expect(await call(...args)).toEqual({
      code,
      stdout: expect.stringContaining(stdout),
      stderr: expect.stringContaining(stderr),
    });
  });

  test.each(["run", "up", "node", "admit"])("docs/reference/cli.md names every flag of %s", async (command) => {
    const page = await readFile(new URL("../../docs/reference/cli.md", import.meta.url), "utf8");
    const section = (name: string) => page.split(/^## /m).find((part) => part.startsWith(`hostlet ${name}`)) ?? "";
    // Those of up about the node are told with run.
    const text = command === "up" ? section("run") + section("up") : section(command);
    const { stdout } = await call(command, "--help");
    const short = ["--help", "--name", "--filename", "--recursive", "--quiet"];
    const flags = [...stdout.matchAll(/^ +(?:-\w, )?(--[a-z-]+)(?:, (--[a-z-]+))?/gm)].flatMap(([, ...names]) => names);
    expect(flags.length).toBeGreaterThan(5);
    for (const flag of flags) if (flag && !short.includes(flag)) expect(text).toContain(flag);
  });

  test("the version is that of package.json", async () => {
    const manifest = JSON.parse(await readFile(new URL("../../package.json", import.meta.url), "utf8"));
    expect([version, hostletVersion]).toEqual([manifest.version, manifest.version]);
  });
});
