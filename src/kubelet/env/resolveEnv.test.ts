import { describe, expect, it } from "vitest";
import type { HostletError } from "../../errors.ts";
import type { Container, Pod } from "../../kube/types.ts";
import { base64, testObjects } from "../volumes/testObjects.ts";
import { hostletVariables } from "./hostletVariables.ts";
import { envReferences } from "./references.ts";
import { type EnvRequest, resolveEnv } from "./resolveEnv.ts";

const objects = testObjects(
  {
    settings: { data: { COLOUR: "blue", SIZE: "10", "1ST": "digit", "..x": "dots", "a.b": "dotted" } },
    nul: { data: { BAD: "a\0b" } },
    big: { data: { HUGE: "x".repeat(200_000) } },
    broken: new Error("connection reset"),
  },
  { login: { data: { user: base64("ann"), bytes: base64(new Uint8Array([0xff, 0xfe])) } } },
);

function request(container: Partial<Container>, more: Partial<EnvRequest> = {}): EnvRequest {
  const whole = { name: "c", ...container };
  const pod: Pod = {
    metadata: { name: "p1", namespace: "default", uid: "u-1", labels: { x: "label" } },
    spec: { nodeName: "node-1", containers: [whole] },
  };
  return {
    pod,
    container: whole,
    objects,
    addresses: { hostIPs: ["10.0.0.5"], podIPs: ["10.0.0.5"] },
    allocatable: { cpu: "4" },
    inherit: {},
    extra: {},
    signal: new AbortController().signal,
    ...more,
  };
}

async function variables(container: Partial<Container>, more: Partial<EnvRequest> = {}) {
  return (await resolveEnv(request(container, more))).variables;
}

async function failure(container: Partial<Container>, more: Partial<EnvRequest> = {}) {
  return (await resolveEnv(request(container, more)).catch((error) => error)) as HostletError;
}

describe("the order of a container's environment", () => {
  it("is: inherited, HOSTNAME, hostlet's own, envFrom in its order, env in its order; the later wins", async () => {
    const { env } = await resolveEnv(
      request(
        {
          envFrom: [{ configMapRef: { name: "settings" } }, { secretRef: { name: "login" }, prefix: "COLOUR_" }],
          env: [
            { name: "SIZE", value: "11" },
            { name: "SIZE", value: "$(SIZE)2" },
          ],
        },
        {
          objects: testObjects(
            { settings: { data: { COLOUR: "blue", SIZE: "10", OWN: "no longer" } } },
            { login: { data: { user: base64("ann") } } },
          ),
          inherit: { PATH: "/bin", COLOUR: "inherited", HOSTNAME: "host" },
          extra: { OWN: "hostlet" },
        },
      ),
    );
    expect(env).toEqual({
      PATH: "/bin",
      HOSTNAME: "p1",
      COLOUR: "blue",
      COLOUR_user: "ann",
      SIZE: "112",
      OWN: "no longer",
    });
  });

  it("lets the pod set HOSTNAME itself", async () => {
    expect((await resolveEnv(request({ env: [{ name: "HOSTNAME", value: "mine" }] }))).env.HOSTNAME).toBe("mine");
  });

  it("takes HOSTNAME from spec.hostname, and cuts it to 63 characters", async () => {
    const one = request({});
    one.pod.spec!.hostname = "chosen";
    expect((await resolveEnv(one)).env.HOSTNAME).toBe("chosen");
    one.pod.spec!.hostname = `${"a".repeat(62)}-tail`;
    expect((await resolveEnv(one)).env.HOSTNAME).toBe("a".repeat(62));
  });
});

describe("$(NAME) in a value", () => {
  it("sees what was declared before it, envFrom and hostlet's own, and nothing that is inherited", async () => {
    const container = {
      envFrom: [{ configMapRef: { name: "settings" } }],
      env: [
        { name: "A", value: "$(COLOUR) $(HOSTLET_POD_NAME) $(PATH) $(B)" },
        { name: "B", value: "$(A)" },
      ],
    };
    const found = await variables(container, { inherit: { PATH: "/bin" }, extra: { HOSTLET_POD_NAME: "p1" } });
    expect(found.A).toBe("blue p1 $(PATH) $(B)");
    expect(found.B).toBe("blue p1 $(PATH) $(B)");
  });

  it("is left alone in what comes from a ConfigMap", async () => {
    const one = testObjects({ c: { data: { K: "$(A)" } } });
    const env = [
      { name: "A", value: "a" },
      { name: "K", valueFrom: { configMapKeyRef: { name: "c", key: "K" } } },
    ];
    expect(await variables({ env }, { objects: one })).toEqual({ A: "a", K: "$(A)" });
  });

  it("is expanded after ~ and $HOME in the compatibility mode", async () => {
    const env = [
      { name: "A", value: "~/x" },
      { name: "B", value: "$(A):$HOME" },
      { name: "C", value: "$$HOME" },
    ];
    expect(await variables({ env }, { compatHome: "/home/u" })).toEqual({
      A: "/home/u/x",
      B: "/home/u/x:/home/u",
      C: "$HOME",
    });
    expect(await variables({ env })).toEqual({ A: "~/x", B: "~/x:$HOME", C: "$HOME" });
  });
});

describe("valueFrom", () => {
  it("reads fields, resources, ConfigMaps and Secrets", async () => {
    const env = [
      { name: "FIELD", valueFrom: { fieldRef: { fieldPath: "metadata.labels['x']" } } },
      { name: "IP", valueFrom: { fieldRef: { fieldPath: "status.hostIP" } } },
      { name: "CPU", valueFrom: { resourceFieldRef: { resource: "limits.cpu", divisor: "1m" } } },
      { name: "MAP", valueFrom: { configMapKeyRef: { name: "settings", key: "COLOUR" } } },
      { name: "SECRET", valueFrom: { secretKeyRef: { name: "login", key: "user" } } },
      { name: "EMPTY" },
    ];
    expect(await variables({ env })).toEqual({
      FIELD: "label",
      IP: "10.0.0.5",
      CPU: "4000",
      MAP: "blue",
      SECRET: "ann",
      EMPTY: "",
    });
  });

  it("leaves an optional variable out where its object or key is missing", async () => {
    const env = [
      { name: "A", valueFrom: { configMapKeyRef: { name: "none", key: "k", optional: true } } },
      { name: "B", valueFrom: { secretKeyRef: { name: "login", key: "none", optional: true } } },
      { name: "C", value: "c" },
    ];
    const envFrom = [
      { secretRef: { name: "none", optional: true } },
      { configMapRef: { name: "none", optional: true } },
    ];
    expect(await variables({ env, envFrom })).toEqual({ C: "c" });
  });

  it("reads an object once, however often it is named", async () => {
    const one = testObjects({ c: { data: { K: "v" } } });
    const ref = { configMapKeyRef: { name: "c", key: "K" } };
    const env = [
      { name: "A", valueFrom: ref },
      { name: "B", valueFrom: ref },
    ];
    await resolveEnv(request({ envFrom: [{ configMapRef: { name: "c" } }], env }, { objects: one }));
    expect(one.reads).toEqual(["ConfigMap/default/c"]);
  });
});

describe("what keeps a container waiting, and is tried again", () => {
  it.each<[string, Partial<Container>]>([
    ['configmap "none" not found', { envFrom: [{ configMapRef: { name: "none" } }] }],
    ['secret "none" not found', { envFrom: [{ secretRef: { name: "none" } }] }],
    ['configmap "" not found', { envFrom: [{ configMapRef: {} }] }],
    ['secret "none" not found', { env: [{ name: "A", valueFrom: { secretKeyRef: { name: "none", key: "k" } } }] }],
    [
      "couldn't find key k in ConfigMap default/settings",
      { env: [{ name: "A", valueFrom: { configMapKeyRef: { name: "settings", key: "k" } } }] },
    ],
    [
      "couldn't find key constructor in Secret default/login",
      { env: [{ name: "A", valueFrom: { secretKeyRef: { name: "login", key: "constructor" } } }] },
    ],
    [`couldn't read configmap "broken": connection reset`, { envFrom: [{ configMapRef: { name: "broken" } }] }],
    [
      "the value of environment variable BAD holds a NUL character, which no environment can",
      { envFrom: [{ configMapRef: { name: "nul" } }] },
    ],
    [
      "the Secret's value for environment variable bytes is not UTF-8 text: mount the Secret as a volume",
      { envFrom: [{ secretRef: { name: "login" } }] },
    ],
    [
      "environment variable HUGE has 200006 bytes, Linux takes 131072 in one: mount it as a file",
      { envFrom: [{ configMapRef: { name: "big" } }] },
    ],
  ])("%s", async (message, container) => {
    expect(await failure(container)).toMatchObject({
      code: "CreateContainerFailed",
      reason: "CreateContainerConfigError",
      message,
    });
  });
});

describe("what only another pod would mend", () => {
  it.each<[string, Partial<Container>]>([
    [
      "environment variable A: unsupported fieldPath: status.phase",
      { env: [{ name: "A", valueFrom: { fieldRef: { fieldPath: "status.phase" } } }] },
    ],
    [
      "environment variable A: unsupported container resource : limits.pods",
      { env: [{ name: "A", valueFrom: { resourceFieldRef: { resource: "limits.pods" } } }] },
    ],
    [
      "environment variable A: valueFrom.fileKeyRef is not offered here, but fieldRef, resourceFieldRef, configMapKeyRef and secretKeyRef",
      { env: [{ name: "A", valueFrom: { fileKeyRef: { volumeName: "v", path: "p", key: "k" } } }] },
    ],
    ['environment variable name "A=B": must be printable ASCII without "="', { env: [{ name: "A=B", value: "x" }] }],
    ['environment variable name "": must be printable ASCII without "="', { env: [{ name: "", value: "x" }] }],
  ])("%s", async (message, container) => {
    expect(await failure(container)).toMatchObject({
      code: "PodInvalid",
      reason: "CreateContainerConfigError",
      message,
    });
  });
});

describe("envFrom", () => {
  it("skips invalid names, and says so in one warning for each source", async () => {
    const { variables, warnings } = await resolveEnv(request({ envFrom: [{ configMapRef: { name: "settings" } }] }));
    expect(variables).toEqual({ COLOUR: "blue", SIZE: "10", "a.b": "dotted" });
    expect(warnings).toEqual([
      {
        reason: "InvalidEnvironmentVariableNames",
        message:
          "Keys [..x, 1ST] from the EnvFrom configMap default/settings were skipped since they are considered invalid environment variable names.",
      },
    ]);
  });

  it("judges a name with its prefix", async () => {
    const found = await variables({ envFrom: [{ configMapRef: { name: "settings" }, prefix: "P_" }] });
    expect(Object.keys(found).sort()).toEqual(["P_..x", "P_1ST", "P_COLOUR", "P_SIZE", "P_a.b"]);
  });
});

describe("size", () => {
  it("an environment of 200 kB over many variables is as good as any", async () => {
    const data = Object.fromEntries(Array.from({ length: 200 }, (_, n) => [`V${n}`, "x".repeat(1000)]));
    const found = await variables(
      { envFrom: [{ configMapRef: { name: "c" } }] },
      { objects: testObjects({ c: { data } }) },
    );
    expect(Object.keys(found)).toHaveLength(200);
  });

  it("a variable of just what Linux takes passes, one byte more does not", async () => {
    const longest = 131072 - "A=".length - 1;
    expect(await variables({ env: [{ name: "A", value: "x".repeat(longest) }] })).toHaveProperty("A");
    expect(await failure({ env: [{ name: "A", value: "x".repeat(longest + 1) }] })).toBeInstanceOf(Error);
  });

  it("names that JavaScript knows are variables as others", async () => {
    const found = await variables({
      env: [
        { name: "__proto__", value: "p" },
        { name: "X", value: "$(__proto__)" },
      ],
    });
    expect(Object.entries(found)).toEqual([
      ["__proto__", "p"],
      ["X", "p"],
    ]);
  });
});

it("a message never holds a Secret's value", async () => {
  const secrets = { s: { data: { K: base64("hunter2\0") } } };
  const env = [{ name: "A", valueFrom: { secretKeyRef: { name: "s", key: "K" } } }];
  const error = await failure({ env }, { objects: testObjects({}, secrets) });
  expect(error.message).toContain("A");
  expect(error.message).not.toContain("hunter2");
});

it("an aborted read ends with the signal's reason", async () => {
  const controller = new AbortController();
  const aborting = testObjects({ c: new Error("socket closed") });
  controller.abort(new Error("stopping"));
  const error = await failure(
    { envFrom: [{ configMapRef: { name: "c" } }] },
    { objects: aborting, signal: controller.signal },
  );
  expect(error.message).toBe("stopping");
});

it("lists each object that an environment is read from once", () => {
  const { pod, container } = request({
    envFrom: [{ configMapRef: { name: "a" } }, { secretRef: { name: "a" } }],
    env: [
      { name: "A", valueFrom: { configMapKeyRef: { name: "a", key: "k" } } },
      { name: "B", valueFrom: { secretKeyRef: { name: "b", key: "k" } } },
      { name: "C", value: "c" },
    ],
  });
  expect(envReferences(pod, container)).toEqual([
    { kind: "ConfigMap", namespace: "default", name: "a" },
    { kind: "Secret", namespace: "default", name: "a" },
    { kind: "Secret", namespace: "default", name: "b" },
  ]);
});

it("hostlet's own variables name the pod, its directories and the container's volumes", () => {
  const own = hostletVariables({
    podDir: "/p/default/p1",
    containerDir: "/p/default/p1/containers/c",
    namespace: "default",
    podName: "p1",
    podUID: "u-1",
    container: "c",
    volumes: new Map([["job-data", "/p/default/p1/emptydirs/job-data"]]),
  });
  expect(own).toEqual({
    HOSTLET_POD_DIR: "/p/default/p1",
    HOSTLET_CONTAINER_DIR: "/p/default/p1/containers/c",
    HOSTLET_POD_NAME: "p1",
    HOSTLET_POD_NAMESPACE: "default",
    HOSTLET_POD_UID: "u-1",
    HOSTLET_CONTAINER_NAME: "c",
    HOSTLET_VOLUME_JOB_DATA: "/p/default/p1/emptydirs/job-data",
  });
});
