import { describe, expect, it } from "vitest";
import { type PilotRequest, pilotSubmission } from "./script.ts";

const request: PilotRequest = {
  name: "lab",
  nodes: 4,
  time: "2:00:00",
  cpus: undefined,
  mem: undefined,
  options: [],
  words: [],
  program: ["/opt/node", "/shared dir/hostlet.js"],
  nodeArgs: ["--kubeconfig", "/home/me/kube config", "--site", "X"],
  logDir: "/home/me/.hostlet/pilot",
};

function submission(changes: Partial<PilotRequest> = {}) {
  const plan = pilotSubmission({ ...request, ...changes });
  if ("refused" in plan) throw new Error(plan.refused);
  return plan;
}

describe("a job of pilot nodes", () => {
  it("is one agent on each of its nodes, which are the pilot's alone", () => {
    expect(submission().args).toEqual(
      expect.arrayContaining([
        "--nodes=4",
        "--ntasks-per-node=1",
        "--exclusive",
        "--mem=0",
        "--time=2:00:00",
        "--comment=hostlet-pilot:lab",
      ]),
    );
  });

  it("or a part of them, where CPUs or memory are said", () => {
    const { args } = submission({ cpus: "8", mem: "16G" });
    expect(args).toEqual(expect.arrayContaining(["--cpus-per-task=8", "--mem=16G"]));
    expect(args).not.toContain("--exclusive");
  });

  it("with options of sbatch, the last of a name", () => {
    const { args } = submission({ options: [{ name: "qos", value: "low" }], words: ["--qos=high", "-C", "gpu"] });
    expect(args).toEqual(expect.arrayContaining(["--qos=high", "--constraint=gpu"]));
    expect(args).not.toContain("--qos=low");
    expect(pilotSubmission({ ...request, words: ["--array=1-2"] })).toMatchObject({
      refused: expect.stringMatching(/array/),
    });
  });

  it("names each node after pilot, job and rank, and takes no word for shell", () => {
    expect(submission().script).toContain(
      `/bin/bash -c 'exec "$@" --node-name "$0-$SLURM_JOB_ID-$SLURM_PROCID"' lab /opt/node '/shared dir/hostlet.js' node --kubeconfig '/home/me/kube config' --site X\n`,
    );
  });
});
