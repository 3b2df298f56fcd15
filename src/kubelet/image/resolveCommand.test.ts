import { describe, expect, it } from "vitest";
import type { HostletError } from "../../errors.ts";
import type { Container } from "../../kube/types.ts";
import type { VolumeKind } from "../volumes/kinds.ts";
import { findImage } from "./imageTable.ts";
import { jobsCommand } from "./jobsDriver.ts";
import { type CommandRequest, resolveCommand } from "./resolveCommand.ts";

interface Case {
  container: Partial<Container>;
  /** By volume name: its kind, and the files in it. All are mounted, in this order. */
  volumes?: Record<string, [VolumeKind, ...string[]]>;
  request?: Partial<CommandRequest>;
}

const dirs = { configMap: "configmaps", secret: "secrets", projected: "projected", emptyDir: "emptydirs" };

function request({ container, volumes = {}, request: more = {} }: Case): CommandRequest {
  const all = Object.entries(volumes).map(([name, [kind, ...names]]) => {
    const dir = `/state/pods/u1/${dirs[kind as keyof typeof dirs] ?? kind}/${name}`;
    return { name, kind, dir, paths: names.map((file) => `${dir}/${file}`) };
  });
  const listed = all.flatMap(({ paths }) => paths);
  return {
    container: { name: "c", image: "busybox:1.36", ...container },
    mounts: all.map(({ name, dir }) => ({ volume: name, source: dir, mountPath: `/${name}`, readOnly: true })),
    volumes: new Map(all.map(({ name, kind }) => [name, { kind }])),
    variables: { N: "300" },
    env: { PATH: "/bin", N: "300" },
    imageTable: [],
    compat: false,
    podDir: "/state/pods/u1",
    containerDir: "/state/pods/u1/containers/c",
    files: {
      list: async (path) => listed.filter((file) => file === path || file.startsWith(`${path}/`)),
      isFile: async (path) => path === "/opt/my tool",
    },
    ...more,
  };
}
const resolve = (one: Case) => resolveCommand(request(one));
async function failure(one: Case) {
  return (await resolve(one).catch((error) => error)) as HostletError;
}

const inHome = { publicDir: "/home/u/multijobs" };

describe("the seeds' manifests run as their documents say", () => {
  it("seed 0: image user1 is the volume user1, its hello.job is run by /bin/bash", async () => {
    const one: Case = {
      container: { name: "job-user1", image: "user1", command: ["/bin/bash"] },
      volumes: { user1: ["configMap", "hello.job"] },
      request: inHome,
    };
    expect(await resolve(one)).toMatchObject({
      argv: ["/bin/bash", "/home/u/multijobs/configmaps/user1/hello.job"],
      usesImage: "script",
    });
  });

  it("seed 0: image job1 is no volume, so the .job file among the mounts is run; support.sh is only a file", async () => {
    const one: Case = {
      container: { name: "job1", image: "job1", command: ["/bin/bash"] },
      volumes: { "job-1": ["configMap", "job1.job"], support: ["configMap", "support.sh"] },
      request: inHome,
    };
    expect(await resolve(one)).toMatchObject({
      argv: ["/bin/bash", "/home/u/multijobs/configmaps/job-1/job1.job"],
      usesImage: "jobs",
    });
  });

  it("seed 1: bash <script> 300 2", async () => {
    const one: Case = {
      container: { name: "c1", image: "direct-stress", command: ["bash"], args: ["$(N)", "2"] },
      volumes: { "direct-stress": ["configMap", "stress.sh"] },
      request: { publicDir: "/home/u/p1" },
    };
    expect((await resolve(one)).argv).toEqual(["bash", "/home/u/p1/configmaps/direct-stress/stress.sh", "300", "2"]);
  });

  it("seed 2: a one-element command with white space is a shell line in the compatibility mode", async () => {
    const line = "echo 'cowsay moo > $HOME/out.txt' > $HOME/hostpipe/vk-cmd";
    expect((await resolve({ container: { command: [line] }, request: { compat: true } })).argv).toEqual([
      "bash",
      "-c",
      line,
      "bash",
    ]);
    expect((await resolve({ container: { command: [line] } })).argv).toEqual([line]);
  });
});

describe("an image that names a mounted volume", () => {
  const image = "scripts";

  it.each<[string, Case["volumes"], string]>([
    ["of a ConfigMap", { scripts: ["configMap", "run.sh"] }, "/state/pods/u1/configmaps/scripts/run.sh"],
    ["of a Secret", { scripts: ["secret", "run.py"] }, "/state/pods/u1/secrets/scripts/run.py"],
    ["that is projected", { scripts: ["projected", "bin/run"] }, "/state/pods/u1/projected/scripts/bin/run"],
  ])("%s is its one file, run by bash where the container has no command", async (_, volumes, script) => {
    const found = await resolve({ container: { image }, volumes: volumes! });
    expect(found).toEqual({ argv: ["bash", script], env: { PATH: "/bin", N: "300" }, usesImage: "script" });
  });

  it("is run by the whole command, whatever its length", async () => {
    const container = { image, command: ["python3", "-u"], args: ["a b"] };
    expect((await resolve({ container, volumes: { scripts: ["configMap", "x.py"] } })).argv).toEqual([
      "python3",
      "-u",
      "/state/pods/u1/configmaps/scripts/x.py",
      "a b",
    ]);
  });

  it("with several files is its .job files in the order of their names", async () => {
    const volumes: Case["volumes"] = { scripts: ["configMap", "2.job", "10.job", "lib.sh", "1.job"] };
    const dir = "/state/pods/u1/configmaps/scripts";
    const found = await resolve({ container: { image, args: ["x"] }, volumes });
    expect(found.argv).toEqual(jobsCommand(["bash"], [`${dir}/1.job`, `${dir}/10.job`, `${dir}/2.job`], ["x"]));
    expect(found.usesImage).toBe("script");
  });

  it("with several files and one .job file is that", async () => {
    const volumes: Case["volumes"] = { scripts: ["configMap", "lib.sh", "main.job"] };
    expect((await resolve({ container: { image }, volumes })).argv).toEqual([
      "bash",
      "/state/pods/u1/configmaps/scripts/main.job",
    ]);
  });

  it("with several files and no .job file is an error that lists them", async () => {
    const volumes: Case["volumes"] = { scripts: ["configMap", "b.sh", "a.sh"] };
    expect(await failure({ container: { image, command: ["bash"] }, volumes })).toMatchObject({
      code: "CreateContainerFailed",
      reason: "ErrImagePull",
      message: expect.stringContaining("a.sh, /state/pods/u1/configmaps/scripts/b.sh. Keep one"),
    });
  });

  it("without a file is an error", async () => {
    expect(await failure({ container: { image }, volumes: { scripts: ["configMap"] } })).toMatchObject({
      reason: "ErrImagePull",
      message: 'volume "scripts", which the image names, holds no script: put one into it',
    });
  });

  it("is no script where the volume holds data: an emptyDir, the host's files", async () => {
    for (const kind of ["emptyDir", "hostPath", "downwardAPI"] as const) {
      const found = await resolve({ container: { image, command: ["ls"] }, volumes: { scripts: [kind, "run.sh"] } });
      expect(found).toMatchObject({ argv: ["ls"], usesImage: "none" });
    }
  });

  it("comes before .job files of other volumes", async () => {
    const volumes: Case["volumes"] = { other: ["configMap", "a.job"], scripts: ["configMap", "run.sh"] };
    expect((await resolve({ container: { image }, volumes })).argv[1]).toBe("/state/pods/u1/configmaps/scripts/run.sh");
  });

  it("of which one file is mounted by subPath is that file", async () => {
    const one = request({ container: { image }, volumes: { scripts: ["configMap", "a.sh", "b.sh"] } });
    one.mounts[0]!.source += "/b.sh";
    expect((await resolveCommand(one)).argv[1]).toBe("/state/pods/u1/configmaps/scripts/b.sh");
  });
});

describe(".job files in mounted volumes", () => {
  it("are run in the order of their names over all volumes, by the command", async () => {
    const volumes: Case["volumes"] = {
      b: ["configMap", "1.job", "3.job"],
      a: ["secret", "2.job", "x.sh"],
      data: ["emptyDir", "0.job"],
    };
    const at = "/state/pods/u1";
    const jobs = [`${at}/configmaps/b/1.job`, `${at}/secrets/a/2.job`, `${at}/configmaps/b/3.job`];
    const found = await resolve({ container: { command: ["sh", "-e"], args: ["--fast"] }, volumes });
    expect(found).toMatchObject({ argv: jobsCommand(["sh", "-e"], jobs, ["--fast"]), usesImage: "jobs" });
  });

  it("are run once where a volume is mounted twice", async () => {
    const one = request({ container: {}, volumes: { a: ["configMap", "x.job"] } });
    one.mounts.push({ ...one.mounts[0]!, mountPath: "/again" });
    expect((await resolveCommand(one)).argv).toEqual(["bash", "/state/pods/u1/configmaps/a/x.job"]);
  });

  it("come before a program, the image table and a command as given", async () => {
    const volumes: Case["volumes"] = { a: ["configMap", "x.job"] };
    for (const image of ["/usr/bin/env", "known", "busybox"]) {
      const found = await resolve({ container: { image }, volumes, request: { imageTable: [{ match: "known" }] } });
      expect(found.usesImage).toBe("jobs");
    }
  });

  it("are only those: a file that is named .job is none", async () => {
    expect(await resolve({ container: { command: ["ls"] }, volumes: { a: ["configMap", ".job"] } })).toMatchObject({
      usesImage: "none",
    });
  });
});

describe("an image that is an absolute path", () => {
  it("is the program, with the arguments", async () => {
    const found = await resolve({ container: { image: "/usr/bin/stress", args: ["--cpu", "$(N)"] } });
    const env = { PATH: "/bin", N: "300" };
    expect(found).toEqual({ argv: ["/usr/bin/stress", "--cpu", "300"], env, usesImage: "program" });
  });

  it("is overridden by command, as Kubernetes has it", async () => {
    const found = await resolve({ container: { image: "/usr/bin/stress", command: ["sleep"], args: ["1"] } });
    expect(found).toMatchObject({ argv: ["sleep", "1"], usesImage: "none" });
    expect(found.message).toBe('image "/usr/bin/stress" is not run: command overrides it');
  });
});

describe("an image in the node's table", () => {
  const imageTable = [
    { match: "python:3.12", entrypoint: ["python3.12"], command: ["-i"], workingDir: "/srv", env: { PY: "1", N: "0" } },
    { match: "python:*", entrypoint: ["python3"], command: ["-i"], env: { PATH: "/opt/python:$(PATH)" } },
    { match: "bare" },
  ];

  it.each<[string, Partial<Container>, string[]]>([
    ["entrypoint and command", {}, ["python3.12", "-i"]],
    ["entrypoint and the pod's args", { args: ["x.py"] }, ["python3.12", "x.py"]],
    ["the pod's command alone", { command: ["sh"] }, ["sh"]],
    ["the pod's command and args", { command: ["sh"], args: ["-c", "ls"] }, ["sh", "-c", "ls"]],
  ])("runs %s, as Kubernetes combines them", async (_, container, argv) => {
    const found = await resolve({ container: { image: "python:3.12", ...container }, request: { imageTable } });
    const env = { PATH: "/bin", PY: "1", N: "300" };
    expect(found).toEqual({ argv, env, usesImage: "table", workingDir: "/srv" });
  });

  it("gives its environment, over what is inherited and under what the pod declares", async () => {
    const first = await resolve({ container: { image: "python:3.12" }, request: { imageTable } });
    expect(first.env).toEqual({ PATH: "/bin", PY: "1", N: "300" });
    const second = await resolve({ container: { image: "python:3.9" }, request: { imageTable } });
    expect(second.env.PATH).toBe("/opt/python:/bin");
    expect(second.workingDir).toBeUndefined();
  });

  it("that names no program needs a command", async () => {
    expect(await resolve({ container: { image: "bare", command: ["ls"] }, request: { imageTable } })).toMatchObject({
      argv: ["ls"],
      usesImage: "table",
    });
    expect(await failure({ container: { image: "bare" }, request: { imageTable } })).toMatchObject({
      reason: "ErrImagePull",
      message: expect.stringContaining("its entry in the node's image table names no program"),
    });
  });

  it.each([
    ["python:3.12", "python:3.12"],
    ["python:3.12-slim", "python:*"],
    ["python", undefined],
    ["x/python:3", undefined],
  ])("%s is matched by %s", (image, match) => {
    expect(findImage(imageTable, image)?.match).toBe(match);
  });
});

describe("any other image", () => {
  it("is not used, and the message says so", async () => {
    expect(await resolve({ container: { command: ["sleep"], args: ["$(N)"] } })).toEqual({
      argv: ["sleep", "300"],
      env: { PATH: "/bin", N: "300" },
      usesImage: "none",
      message: 'image "busybox:1.36" is not used: this node has no images, the command is looked up on the host',
    });
  });

  it("without a command is an error that says what to do", async () => {
    expect(await failure({ container: { image: "nginx", args: ["-g"] } })).toMatchObject({
      code: "PodInvalid",
      reason: "ErrImagePull",
      message:
        'container "c" has nothing to run for image "nginx": this node has no images, and the container gives no command. Give it a command, mount a ConfigMap volume named "nginx" with a script in it, or set image to the absolute path of a program on the host',
    });
  });
});

it.each<[string, Partial<Container>, string, boolean]>([
  ["in the container's directory", {}, "/state/pods/u1/containers/c/my tool", true],
  ["in its working directory", { workingDir: "/work" }, "/work/my tool", true],
  ["nowhere but in the agent's directory", {}, `${process.cwd()}/my tool`, false],
])("a relative command with a space in it that is a file %s", async (_, more, file, isFile) => {
  const container = { command: ["my tool"], ...more };
  const files = { list: async () => [], isFile: async (path: string) => path === file };
  const { argv } = await resolve({ container, request: { compat: true, files } });
  expect(argv).toEqual(isFile ? ["my tool"] : ["bash", "-c", "my tool", "bash"]);
});

it("a relative command that is a file in a mount is no shell line", async () => {
  const file = "/state/pods/u1/emptydirs/bin/my tool";
  const files = { list: async () => [], isFile: async (path: string) => path === file };
  const one: Case = { container: { command: ["bin/my tool"] }, volumes: { bin: ["emptyDir"] } };
  expect((await resolve({ ...one, request: { compat: true, files } })).argv).toEqual(["bin/my tool"]);
});

describe("the compatibility mode's shell line", () => {
  it.each<[string, string[], string[] | undefined, string[]]>([
    ["gets args as its parameters", ["echo $1 $2"], ["a", "b c"], ["bash", "-c", "echo $1 $2", "bash", "a", "b c"]],
    ["is not one of several elements", ["echo", "a b"], undefined, ["echo", "a b"]],
    ["is not one without white space", ["ls"], ["-l"], ["ls", "-l"]],
    ["is not the path of a file with a space in it", ["/opt/my tool"], undefined, ["/opt/my tool"]],
  ])("%s", async (_, command, args, argv) => {
    const container = args ? { command, args } : { command };
    expect((await resolve({ container, request: { compat: true } })).argv).toEqual(argv);
  });
});

it("an argument that Linux does not take is an error that says which", async () => {
  const fits = "x".repeat(131071);
  expect((await resolve({ container: { command: ["echo", fits] } })).argv).toEqual(["echo", fits]);
  expect(await failure({ container: { command: ["echo", `${fits}x`] } })).toMatchObject({
    code: "PodInvalid",
    reason: "CreateContainerError",
    message: 'argument 1 of container "c" is longer than the 131072 bytes that Linux takes: mount it as a file',
  });
});
