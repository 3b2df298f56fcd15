import { describe, expect, test } from "vitest";
import { parseLegacyFlags } from "./legacyFlags.ts";

const parse = (line: string, env: NodeJS.ProcessEnv = {}) => parseLegacyFlags(line.split(" ").filter(Boolean), env);
const defaults = { compat: true, pathLayout: "pod", selfSigned: true };

describe("the predecessors' start", () => {
  test("of virtual-kubelet-cmd's start.sh", () => {
    const env = {
      MAIN: "/workspaces/virtual-kubelet-cmd",
      VK_PATH: "/workspaces/virtual-kubelet-cmd/test-run/apiserver",
      VK_BIN: "/workspaces/virtual-kubelet-cmd/bin",
      HOME: "/home/user",
      APISERVER_CERT_LOCATION: "/vk/client.crt",
      APISERVER_KEY_LOCATION: "/vk/client.key",
      KUBECONFIG: "/home/user/.kube/config",
      NODENAME: "vk",
      VKUBELET_POD_IP: "172.17.0.1",
      KUBELET_PORT: "10255",
      JIRIAF_WALLTIME: "60",
      JIRIAF_NODETYPE: "cpu",
      JIRIAF_SITE: "Local",
    };
    expect(parse("--nodename vk --provider mock --klog.v 3", env)).toEqual({
      flags: {
        ...defaults,
        nodeName: "vk",
        kubeconfig: "/home/user/.kube/config",
        nodeIP: "172.17.0.1",
        kubeletPort: "10255",
        tlsCertFile: "/vk/client.crt",
        tlsPrivateKeyFile: "/vk/client.key",
        podsDir: "/home/user",
        nodeLabels: "jiriaf.nodetype=cpu,jiriaf.site=Local",
        walltime: "60",
      },
      warnings: ["--klog.v is not needed any more"],
    });
  });

  test("of interLink's first virtual kubelet, behind a leading --", () => {
    const line =
      "-- --nodename n --provider knoc --provider-config ./scripts/cfg.json --startup-timeout 10s --klog.v 2 --kubeconfig k.yaml --klog.logtostderr --log-level debug";
    expect(parse(line)).toEqual({
      flags: { ...defaults, nodeName: "n", startupTimeout: "10s", kubeconfig: "k.yaml", logLevel: "debug" },
      providerConfig: "./scripts/cfg.json",
      warnings: ["--klog.v is not needed any more", "--klog.logtostderr is not needed any more"],
    });
  });

  test("of systemk", () => {
    const { flags, warnings } = parse("--kubeconfig admin.kubeconfig --enable-node-lease --disable-taint");
    expect(flags).toEqual({ ...defaults, kubeconfig: "admin.kubeconfig", disableTaint: true });
    expect(warnings).toEqual(["--enable-node-lease is not needed any more"]);
  });
});

describe("of the environment,", () => {
  test.each<[string, NodeJS.ProcessEnv, object]>([
    [
      "a taint's value alone changes the default taint",
      { VKUBELET_TAINT_VALUE: "mine" },
      { disableTaint: true, nodeTaints: "virtual-kubelet.io/provider=mine:NoSchedule" },
    ],
    [
      "a taint's parts make one taint",
      { VKUBELET_TAINT_KEY: "k", VKUBELET_TAINT_VALUE: "v", VKUBELET_TAINT_EFFECT: "NoExecute" },
      { disableTaint: true, nodeTaints: "k=v:NoExecute" },
    ],
    ["a walltime of 0 is none", { JIRIAF_WALLTIME: "0" }, {}],
    ["a flag goes before NODENAME", { NODENAME: "other" }, { nodeName: "n" }],
  ])("%s", (_name, env, expected) => {
    const line = "NODENAME" in env ? "--nodename n" : "";
    expect(parse(line, env).flags).toEqual({ ...defaults, ...expected });
  });

  test("a walltime that is no multiple of 60 warns", () => {
    expect(parse("", { JIRIAF_WALLTIME: "90" }).warnings).toEqual([expect.stringContaining("not a multiple of 60")]);
  });
});

describe("an error names", () => {
  test.each<[string, string, NodeJS.ProcessEnv, RegExp]>([
    ["an unknown flag", "--nodname n", {}, /unknown flag --nodname/],
    ["a flag without its value", "--nodename", {}, /--nodename needs a value/],
    ["a word that is no flag", "start", {}, /"start" is no flag/],
    ["a provider that is not here", "--provider azure", {}, /azure is not known/],
    ["a walltime that is no number", "", { JIRIAF_WALLTIME: "2h" }, /JIRIAF_WALLTIME.*"2h"/],
  ])("%s", (_name, line, env, message) => {
    expect(() => parse(line, env)).toThrow(message);
  });
});
