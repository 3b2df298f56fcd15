import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { get } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { freePort, SlurmCluster, until } from "./support/cluster.ts";
import { Sshd } from "./support/sshd.ts";
import { Up } from "./support/up.ts";

const program = fileURLToPath(new URL("../../bin/hostlet.js", import.meta.url));
const cluster = new SlurmCluster();
const home = mkdtempSync(join(tmpdir(), "hostlet-pilot-"));
let up: Up;
let sshd: Sshd;

beforeAll(async () => {
  await cluster.start();
  sshd = new Sshd(join(home, "ssh"), await freePort());
  await sshd.start();
  up = new Up(home, { ...cluster.env(), HOSTLET_PROVIDER: "local" });
  await up.start();
});
afterAll(async () => {
  await up.stop();
  await sshd.stop();
  await cluster.stop();
  rmSync(home, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
});

function hostlet(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const env = { ...cluster.env(), HOME: home, PATH: `${sshd.bin}:${process.env.PATH}` };
  return new Promise((resolve) => {
    execFile(process.execPath, [program, ...args], { env }, (error, out, err) => {
      resolve({ code: error ? Number(error.code) : 0, out, err });
    });
  });
}

function statusOf(url: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    get(url, { rejectUnauthorized: false, agent: false }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    }).once("error", reject);
  });
}

const kubeconfig = join(home, ".hostlet/up/kubeconfig");

test("a pilot is a node with what its job has, runs pods, is reached through a tunnel, and leaves with its job", async () => {
  const submitted = await hostlet(
    ...[
      "pilot",
      "submit",
      "lab",
      "--time",
      "5",
      "--cpus",
      "3",
      "--mem",
      "512M",
      "--site",
      "here",
      "--kubeconfig",
      kubeconfig,
    ],
    ...["--tunnel", sshd.url, "--node-flags", "--disable-taint --self-signed"],
  );
  expect(submitted).toMatchObject({ code: 0, out: expect.stringMatching(/^submitted batch job \d+ of 1 nodes\n$/) });
  const id = /\d+/.exec(submitted.out)?.[0] ?? "";
  const name = `lab-${id}-0`;
  await up
    .until(["get", "nodes"], (out) => out.includes(name))
    .catch((error) => {
      throw new Error(`${error.message}\n${readFileSync(join(home, ".hostlet/pilot", `${id}.out`), "utf8")}`);
    });
  const fields =
    "{.status.capacity.cpu} {.status.capacity.memory} {.metadata.labels.jiriaf\\.site} {.metadata.labels.hostlet\\.dev/batch-job}";
  const node = ["get", "node", name, "-o", `jsonpath=${fields} {.metadata.labels.jiriaf\\.alivetime}`];
  const [cpu, memory, site, job, alive] = (await up.kubectl(node)).out.split(" ");
  expect([cpu, memory, site, job]).toEqual(["3", "512Mi", "here", id]);
  expect(Number(alive)).toBeGreaterThan(200);
  expect(Number(alive)).toBeLessThanOrEqual(300);

  const pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "p" },
    spec: {
      nodeName: name,
      containers: [{ name: "c", image: "none", command: ["sh", "-c", "echo in job $SLURM_JOB_ID; exec sleep 1000"] }],
    },
  };
  await up.kubectl(["apply", "-f", "-"], JSON.stringify(pod));
  await up.until(["get", "pod", "p"], (out) => out.includes("Running"));
  const { out: listed } = await hostlet("pilot", "ls");
  expect(listed).toMatch(new RegExp(`^lab +${id} +RUNNING +1 `, "m"));
  // By way of sshd, whose port the Node names. The control plane of `hostlet up` verifies certificates, and so refuses this node's own.
  const port = Number(
    (await up.kubectl(["get", "node", name, "-o", "jsonpath={.status.daemonEndpoints.kubeletEndpoint.Port}"])).out,
  );
  expect(await statusOf(`https://127.0.0.1:${port}/containerLogs/default/p/c`)).toBe(401);
  expect((await up.kubectl(["logs", "p"])).err).toMatch(/certificate/);

  expect(await hostlet("pilot", "cancel", "lab")).toMatchObject({ code: 0, out: `cancelled ${id}\n` });
  await up.until(["get", "nodes"], (out) => !out.includes(name));
  const left = () => cluster.command("squeue", ["-h"]).stdout.trim();
  await until(() => left() === "", "the end of the job");
  expect((await hostlet("pilot", "cancel", "lab")).code).toBe(1);
});
