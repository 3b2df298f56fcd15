import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { jobsCommand } from "./jobsDriver.ts";

let dir: string;
let running: ChildProcess | undefined;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "hostlet-jobs-"));
});
afterEach(async () => {
  if (running && running.exitCode === null && running.signalCode === null) running.kill("SIGKILL");
  await rm(dir, { recursive: true, force: true });
});

async function job(name: string, text: string): Promise<string> {
  await writeFile(join(dir, name), text);
  return join(dir, name);
}

function start(argv: string[]): ChildProcess {
  const [file, ...args] = argv;
  running = spawn(file!, args, { stdio: ["pipe", "pipe", "inherit"] });
  return running;
}

async function run(argv: string[], input = ""): Promise<{ code: number | null; output: string }> {
  const child = start(argv);
  let output = "";
  child.stdout!.on("data", (data) => {
    output += data;
  });
  child.stdin!.end(input);
  const [code] = await once(child, "close");
  return { code, output };
}

it("runs the jobs one after another with the command and the arguments, whatever is in them", async () => {
  const first = await job("a job; exit 9", 'printf "%s|" first "$@"');
  const second = await job("$(second).job", 'printf "%s|" second "$@"');
  const args = ["a b", "", "$(exit 3)", "-n", "'", "*"];
  expect(await run(jobsCommand(["bash", "-u"], [first, second], args))).toEqual({
    code: 0,
    output: "first|a b||$(exit 3)|-n|'|*|second|a b||$(exit 3)|-n|'|*|",
  });
});

it("stops at the first that fails, with its exit code", async () => {
  const jobs = [await job("1", "echo one"), await job("2", "exit 42"), await job("3", "echo three")];
  expect(await run(jobsCommand(["bash"], jobs, []))).toEqual({ code: 42, output: "one\n" });
});

it("says 127 where the command is not found", async () => {
  const jobs = [await job("1", ""), await job("2", "")];
  expect((await run(jobsCommand(["/no/such/shell"], jobs, []))).code).toBe(127);
});

it("gives the jobs its standard input", async () => {
  const jobs = [await job("1", "read -r line; echo 1:$line"), await job("2", "cat")];
  expect((await run(jobsCommand(["bash"], jobs, []), "one\ntwo\n")).output).toBe("1:one\ntwo\n");
});

it("passes SIGTERM on at once, waits for the job to tidy up, and begins no other", async () => {
  const tidy = await job("1", `trap 'echo tidied; exit 0' TERM; echo ready; while :; do sleep 0.05; done`);
  const child = start(jobsCommand(["bash"], [tidy, await job("2", "echo never")], []));
  let output = "";
  child.stdout!.on("data", (data) => {
    if (output === "") child.kill("SIGTERM");
    output += data;
  });
  const [code] = await once(child, "close");
  expect({ code, output }).toEqual({ code: 143, output: "ready\ntidied\n" });
});

it("has the exit code of a last job that tidied up after SIGTERM", async () => {
  const job1 = await job("1", "true");
  const job2 = await job("2", `trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done`);
  const child = start(jobsCommand(["bash"], [job1, job2], []));
  child.stdout!.once("data", () => child.kill("SIGTERM"));
  expect((await once(child, "close"))[0]).toBe(7);
});

it("has 128 and the signal as the exit code of a job that a signal ended", async () => {
  const jobs = [await job("1", "kill -SEGV $$"), await job("2", "echo never")];
  expect(await run(jobsCommand(["bash"], jobs, []))).toEqual({ code: 139, output: "" });
});
