import { HostletError } from "../errors.ts";
import type { NodeCommandFlags } from "./node.ts";

/** What the predecessors' command line and environment come to. */
export interface LegacyStart {
  flags: NodeCommandFlags;
  /** `--provider-config`: a JSON file with the node's capacity. */
  providerConfig?: string;
  warnings: string[];
}

/** Flags that hostlet has no need for; with a value, or `true` where they are switches. */
const unneeded: Record<string, "value" | "switch"> = {
  os: "value",
  namespace: "value",
  "metrics-addr": "value",
  "pod-sync-workers": "value",
  "full-resync-period": "value",
  "cluster-domain": "value",
  "stream-idle-timeout": "value",
  "stream-creation-timeout": "value",
  "trace-exporter": "value",
  "trace-tag": "value",
  "trace-sample-rate": "value",
  "trace-service-name": "value",
  "enable-node-lease": "switch",
};
/** Of klog's own flags, those that are switches (k8s.io/klog/v2); Go takes a value for a switch only behind `=`. */
const klogSwitches = new Set([
  "logtostderr",
  "alsologtostderr",
  "one_output",
  "skip_headers",
  "skip_log_headers",
  "add_dir_header",
]);

/**
 * Reads the flags of virtual-kubelet, virtual-kubelet-cmd and KNoC as Go's flag library does.
 * @throws {HostletError} ConfigInvalid, naming the flag
 */
export function parseLegacyFlags(args: string[], env: NodeJS.ProcessEnv): LegacyStart {
  const warnings: string[] = [];
  const given = new Map<string, string>();
  const rest = args[0] === "--" ? args.slice(1) : [...args];
  while (rest.length > 0) {
    const word = rest.shift()!;
    const match = /^--?([\w.-]+)(?:=(.*))?$/s.exec(word);
    if (!match) throw new HostletError("ConfigInvalid", `virtual-kubelet: ${JSON.stringify(word)} is no flag`);
    const name = match[1]!;
    const isSwitch =
      unneeded[name] === "switch" || name === "disable-taint" || klogSwitches.has(name.replace(/^klog\./, ""));
    let value = match[2];
    if (value === undefined) value = isSwitch ? "true" : rest.shift();
    if (value === undefined) throw new HostletError("ConfigInvalid", `virtual-kubelet: --${name} needs a value`);
    given.set(name, value);
  }

  const take = (name: string, variable?: string): string | undefined => {
    const value = given.get(name) ?? (variable === undefined ? undefined : env[variable] || undefined);
    given.delete(name);
    return value;
  };
  const flags: NodeCommandFlags = { compat: true, pathLayout: "pod", selfSigned: true };
  const set = (key: keyof NodeCommandFlags, value: unknown) => {
    if (value !== undefined) Object.assign(flags, { [key]: value });
  };

  const provider = take("provider") ?? "mock";
  if (provider !== "mock" && provider !== "knoc") {
    throw new HostletError(
      "ConfigInvalid",
      `--provider: ${provider} is not known here; mock and knoc both run pods on this host`,
    );
  }
  set("nodeName", take("nodename", "NODENAME"));
  set("kubeconfig", take("kubeconfig", "KUBECONFIG"));
  set("startupTimeout", take("startup-timeout"));
  set("logLevel", logLevel(take("log-level")));
  set("nodeIP", env.VKUBELET_POD_IP || undefined);
  set("kubeletPort", env.KUBELET_PORT || undefined);
  set("tlsCertFile", env.APISERVER_CERT_LOCATION || undefined);
  set("tlsPrivateKeyFile", env.APISERVER_KEY_LOCATION || undefined);
  set("clientCaFile", env.APISERVER_CA_CERT_LOCATION || undefined);
  set("podsDir", env.HOME || undefined);
  const providerConfig = take("provider-config");

  const taint = take("taint");
  const { VKUBELET_TAINT_KEY: key = taint, VKUBELET_TAINT_VALUE, VKUBELET_TAINT_EFFECT } = env;
  const disabled = take("disable-taint") === "true";
  if (disabled || key || VKUBELET_TAINT_VALUE || VKUBELET_TAINT_EFFECT) set("disableTaint", true);
  if (!disabled && (key || VKUBELET_TAINT_VALUE || VKUBELET_TAINT_EFFECT)) {
    const effect = VKUBELET_TAINT_EFFECT || "NoSchedule";
    set("nodeTaints", `${key || "virtual-kubelet.io/provider"}=${VKUBELET_TAINT_VALUE || provider}:${effect}`);
  }

  walltime(env, flags, warnings);
  for (const name of given.keys()) {
    if (name in unneeded || name.startsWith("klog.")) warnings.push(`--${name} is not needed any more`);
    else throw new HostletError("ConfigInvalid", `virtual-kubelet: unknown flag --${name}`);
  }
  return { flags, ...(providerConfig !== undefined && { providerConfig }), warnings };
}

function walltime(env: NodeJS.ProcessEnv, flags: NodeCommandFlags, warnings: string[]): void {
  const labels: string[] = [];
  if (env.JIRIAF_NODETYPE) labels.push(`jiriaf.nodetype=${env.JIRIAF_NODETYPE}`);
  if (env.JIRIAF_SITE) labels.push(`jiriaf.site=${env.JIRIAF_SITE}`);
  if (labels.length > 0) flags.nodeLabels = labels.join(",");
  const text = env.JIRIAF_WALLTIME;
  if (!text) return;
  if (!/^\d+$/.test(text)) {
    throw new HostletError(
      "ConfigInvalid",
      `JIRIAF_WALLTIME: must be whole seconds, 0 for no limit, not ${JSON.stringify(text)}`,
    );
  }
  const seconds = Number(text);
  if (seconds % 60 !== 0) warnings.push(`JIRIAF_WALLTIME: ${seconds} is not a multiple of 60; it is taken as it is`);
  if (seconds > 0) flags.walltime = text;
}

/** logrus' levels, as virtual-kubelet has them, in ours. */
function logLevel(level: string | undefined): string | undefined {
  if (level === "warning") return "warn";
  if (level === "panic") return "fatal";
  return level;
}
