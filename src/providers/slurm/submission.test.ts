import { describe, expect, it } from "vitest";
import type { Pod, PodSpec } from "../../kube/types.ts";
import { capacityOf } from "./capacity.ts";
import { standardPaths } from "./commands.ts";
import type { SlurmSite } from "./site.ts";
import { planSubmission } from "./submission.ts";

const site: SlurmSite = {
  paths: standardPaths,
  bash: "/bin/bash",
  flags: [],
  partition: undefined,
  flavors: {},
  defaultFlavor: undefined,
  priorityClasses: {},
  commandPrefix: undefined,
  ignored: [],
};

function plan(spec: Partial<PodSpec>, annotations: Record<string, string> = {}, changes: Partial<SlurmSite> = {}) {
  const pod: Pod = {
    metadata: { namespace: "default", name: "web", uid: "u1", annotations },
    spec: { containers: [{ name: "main" }], ...spec },
  };
  const program = ["/opt/node", "/shared dir/hostlet.js"];
  const dir = "/shared/n1/pods/u1";
  return planSubmission({ site: { ...site, ...changes }, pod, dir, program, memoryOverheadBytes: 128 * 2 ** 20 });
}

function args(...of: Parameters<typeof plan>): string[] {
  const submission = plan(...of);
  if ("refused" in submission) throw new Error(submission.refused);
  return submission.args;
}

const container = (limits: Record<string, string>, requests: Record<string, string> = {}) => ({
  name: "c",
  resources: { limits, requests },
});

describe("what a pod asks of its job", () => {
  it("never a second start, and a name and a comment by which it is found again", () => {
    expect(args({})).toEqual(
      expect.arrayContaining(["--parsable", "--no-requeue", "--job-name=default/web.u1", "--comment=hostlet:u1"]),
    );
  });

  it.each<[string, Partial<PodSpec>, string[], string[]]>([
    ["nothing where the pod says nothing", {}, [], ["--cpus-per-task", "--mem", "--gres", "--time"]],
    ["whole CPUs, rounded up", { containers: [container({ cpu: "1500m" })] }, ["--cpus-per-task=2"], []],
    ["memory with the core's own", { containers: [container({ memory: "1Gi" })] }, ["--mem=1152M"], []],
    ["the request where there is no limit", { containers: [container({}, { cpu: "3" })] }, ["--cpus-per-task=3"], []],
    [
      "containers and sidecars together, or the largest init container",
      {
        containers: [container({ cpu: "1", memory: "100Mi" }), container({ cpu: "1" })],
        initContainers: [
          container({ cpu: "2", memory: "1Gi" }),
          { ...container({ cpu: "1" }), restartPolicy: "Always" },
        ],
      },
      ["--cpus-per-task=3", "--mem=1152M"],
      [],
    ],
    ["GPUs of either maker", { containers: [container({ "nvidia.com/gpu": "2" })] }, ["--gres=gpu:2"], []],
    ["GPUs of either maker", { containers: [container({ "amd.com/gpu": "1" })] }, ["--gres=gpu:1"], []],
    ["a time limit behind the pod's own deadline", { activeDeadlineSeconds: 60 }, ["--time=2"], []],
    ["and its grace", { activeDeadlineSeconds: 60, terminationGracePeriodSeconds: 600 }, ["--time=12"], []],
  ])("%s", (_, spec, there, absent) => {
    const all = args(spec);
    expect(all).toEqual(expect.arrayContaining(there));
    for (const name of absent) expect(all.filter((arg) => arg.startsWith(name))).toEqual([]);
  });

  it("annotations of interLink and KNoC, under the pod's limits", () => {
    const annotations = {
      "slurm-job.knoc.io/flags": "--qos=low --constraint=gpu",
      "slurm-job.vk.io/flags": "--qos='high' -c 64 --job-name=mine",
    };
    const submission = plan({ containers: [container({ cpu: "2" })] }, annotations);
    expect(submission).toMatchObject({
      args: expect.arrayContaining(["--constraint=gpu", "--qos=high", "--cpus-per-task=2"]),
      warnings: ["--job-name is hostlet's own to say"],
    });
  });

  it("single options by annotations of hostlet's own, and a word about those that it does not know", () => {
    const submission = plan({}, { "slurm-job.hostlet.dev/account": "a1", "slurm-job.hostlet.dev/accuont": "a2" });
    expect(submission).toMatchObject({
      args: expect.arrayContaining(["--account=a1"]),
      warnings: ["annotation slurm-job.hostlet.dev/accuont is not known"],
    });
  });

  it("is refused with all reasons", () => {
    expect(plan({}, { "slurm-job.vk.io/flags": "--array=1-3 --wrap=id" })).toEqual({
      refused: "--array: a pod is one job; --wrap: the job runs the pod",
    });
    expect(plan({}, { "slurm-job.vk.io/flags": "'" })).toMatchObject({ refused: expect.stringMatching(/quote/) });
  });

  it("the priority class's options", () => {
    const all = args({ priorityClassName: "urgent" }, {}, { priorityClasses: { urgent: ["--qos=high"] } });
    expect(all).toContain("--qos=high");
  });
});

describe("flavors", () => {
  const flavors = {
    small: { CPUDefault: 1, MemoryDefault: "2G", SlurmFlags: ["--partition=cpu"] },
    gpu: { Name: "gpu", SlurmFlags: ["--gres=gpu:1", "--partition=gpu"] },
  };
  const with_ = { flavors, defaultFlavor: "small" };

  it.each<[string, Partial<PodSpec>, Record<string, string>, string[]]>([
    ["the default one", {}, {}, ["--cpus-per-task=1", "--mem=2G", "--partition=cpu"]],
    ["the one that the pod names", {}, { "slurm-job.vk.io/flavor": "gpu" }, ["--gres=gpu:1", "--partition=gpu"]],
    [
      "one with GPUs for a pod that wants some",
      { containers: [container({ "nvidia.com/gpu": "4" })] },
      {},
      ["--gres=gpu:4", "--partition=gpu"],
    ],
    ["the pod's flags win", {}, { "slurm-job.vk.io/flags": "-p other" }, ["--partition=other"]],
  ])("%s", (_, spec, annotations, expected) => {
    expect(args(spec, annotations, with_)).toEqual(expect.arrayContaining(expected));
  });

  it("one that is not there refuses the pod, and names those that are", () => {
    expect(plan({}, { "slurm-job.vk.io/flavor": "big" }, with_)).toEqual({
      refused: 'flavor "big" is not one of this node\'s (small, gpu)',
    });
  });
});

describe("the job's script", () => {
  it("holds nothing of the pod", () => {
    const submission = plan({ containers: [{ name: "main", command: ["$(touch /tmp/x)"], image: "`id`" }] });
    expect(submission).toMatchObject({
      script: [
        "#!/bin/bash",
        "# Runs one pod of a hostlet node; see pod-run in docs/guides/slurm.md.",
        "umask 077",
        "exec /opt/node '/shared dir/hostlet.js' pod-run /shared/n1/pods/u1",
        "",
      ].join("\n"),
    });
  });

  it("except the lines of the annotation that is lines of a shell, behind the site's own", () => {
    const submission = plan({}, { "slurm-job.vk.io/pre-exec": "module load x" }, { commandPrefix: "source /etc/site" });
    expect("script" in submission && submission.script).toMatch(
      /\nsource \/etc\/site\numask 022\nmodule load x\numask 077\nexec /,
    );
  });
});

describe("what Slurm has", () => {
  it("each node counts once, whatever partitions it is in, and those that are away not at all", () => {
    const text = [
      "n1|64|256000|gpu:a100:4(S:0-1)|idle",
      "n1|64|256000|gpu:a100:4(S:0-1)|idle",
      "n2|64|256000|gpu:mi250:8,license:2|mixed",
      "n3|64|256000|(null)|allocated",
      "n4|64|256000|gpu:2|drained",
      "n5|64|256000|(null)|idle*",
      "n6|64|256000|(null)|down",
      "",
    ].join("\n");
    expect(capacityOf(text)).toEqual({ cpu: "192", memory: "768000Mi", "nvidia.com/gpu": "4", "amd.com/gpu": "8" });
  });
});
