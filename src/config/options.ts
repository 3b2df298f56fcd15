import * as v from "valibot";
import type { NodeConfig } from "./nodeConfig.ts";
import { isAmount, parseBytes, parseDuration } from "./units.ts";

/** A name as Kubernetes wants it for a Node: RFC 1123 subdomain. */
const dnsSubdomain = /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const labelKey = /^([a-z0-9]([-a-z0-9.]*[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const labelValue = /^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/;

const logLevels = ["fatal", "error", "warn", "info", "debug", "trace", "silent"] as const;
const runtimes = ["process", "systemd", "docker"] as const;
const providers = ["local", "interlink", "dummy", "slurm"] as const;
const bytesFound = v.number("bytes such as 10Mi");
const durationFound = v.pipe(v.number("a duration such as 1m or 30s"), v.minValue(1000, "at least 1s"));

const path = v.pipe(v.string(), v.nonEmpty("a path, not nothing"));
const count = (least: number, most: number) =>
  v.pipe(
    v.number("a whole number"),
    v.integer("a whole number"),
    v.minValue(least, `at least ${least}`),
    v.maxValue(most, `at most ${most}`),
  );
const quantity = v.pipe(
  v.union([v.string(), v.number()], "a quantity such as 4, 500m or 8Gi"),
  v.transform(String),
  v.check(isAmount, "a quantity such as 4, 500m or 8Gi"),
);
const labels = v.record(
  v.pipe(v.string(), v.regex(labelKey, "a label's key such as example.org/site")),
  v.pipe(v.string("a string (quote it)"), v.regex(labelValue, "a label's value: up to 63 letters, digits, - _ .")),
  "labels as key=value",
);
const effects = ["NoSchedule", "PreferNoSchedule", "NoExecute"] as const;
const taint = v.strictObject({
  key: v.pipe(v.string("a key"), v.regex(labelKey, "a taint's key such as example.org/site")),
  value: v.optional(v.pipe(v.string("a string (quote it)"), v.regex(labelValue, "a taint's value"))),
  effect: v.picklist(effects, `one of ${effects.join(", ")}`),
});
const deviceID = v.pipe(v.string("a device's name"), v.regex(/^[\w.:/-]+$/, "a device's name, such as 0"));
const variable = v.pipe(v.string("a variable's name"), v.regex(/^[A-Za-z_]\w*$/, "a variable's name"));
const words = v.array(v.string("an option such as --qos=high"), "a list of options of sbatch");
const image = v.strictObject({
  match: v.pipe(v.string("an image's name, * at its end for any rest"), v.nonEmpty("an image's name, not nothing")),
  entrypoint: v.optional(v.array(v.string("a string"), "a list of strings")),
  command: v.optional(v.array(v.string("a string"), "a list of strings")),
  env: v.optional(v.record(v.string(), v.string("a string (quote it)"), "names and values")),
  workingDir: v.optional(v.string("a path")),
  user: v.optional(v.string("user[:group]")),
  rootfs: v.optional(v.pipe(v.string("a path"), v.startsWith("/", "an absolute path"))),
});

const interlinkUrl = /^(https?:\/\/|unix:)/;
const interlinkUrlWords = "http://HOST:PORT, https://HOST:PORT or unix:/PATH";

type Schema = v.GenericSchema<unknown, unknown>;

/** Reads an option where there is only text: in the environment and on the command line. What it can't read it gives back. */
type Text = (text: string) => unknown;
const plain: Text = (text) => text;
const number: Text = (text) => (/^\d+$/.test(text) ? Number(text) : text);
const boolean: Text = (text) => {
  if (/^(true|1|yes|on)$/i.test(text)) return true;
  return /^(false|0|no|off|)$/i.test(text) ? false : text;
};
const list = (text: string): string[] => text.split(",").flatMap((part) => part.trim() || []);
const pairs: Text = (text) => Object.fromEntries(list(text).map((pair) => splitAt(pair, "=")));
/** `key=value:Effect` or `key:Effect`, as kubectl taint and the kubelet's --register-with-taints write it. */
const taints: Text = (text) =>
  list(text).map((one) => {
    const [label, effect] = splitAt(one, ":");
    const [key, value] = splitAt(label, "=");
    return value === "" ? { key, effect } : { key, value, effect };
  });

function splitAt(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}

export interface Option {
  /** Of the value in a file; also brings it into the form that NodeConfig has. */
  schema: Schema;
  /** Undefined: only a file can hold it. */
  text?: Text;
}

/** One entry for each key of NodeConfig (which says what they mean). */
export const options: { [K in keyof NodeConfig]: Option } = {
  nodeName: {
    schema: v.pipe(v.string("a name"), v.regex(dnsSubdomain, "a DNS name: lower case letters, digits, - and .")),
    text: plain,
  },
  provider: { schema: v.picklist(providers, `one of ${providers.join(", ")}`), text: plain },
  runtime: { schema: v.picklist(runtimes, `one of ${runtimes.join(", ")}`), text: plain },
  isolation: { schema: v.picklist(["none", "sandbox"], "none or sandbox"), text: plain },
  systemdManager: { schema: v.picklist(["system", "user"], "system or user"), text: plain },
  dockerHost: {
    schema: v.pipe(v.string(), v.regex(/^(unix:\/\/)?\/./, "unix:///path/of/a/socket")),
    text: plain,
  },
  interlinkUrl: { schema: v.pipe(v.string("a URL"), v.regex(interlinkUrl, interlinkUrlWords)), text: plain },
  interlinkTokenFile: { schema: path, text: plain },
  interlinkCaFile: { schema: path, text: plain },
  interlinkCertFile: { schema: path, text: plain },
  interlinkKeyFile: { schema: path, text: plain },
  interlinkPingInterval: {
    schema: v.pipe(
      v.union([v.string(), v.number()], "a duration such as 30s"),
      v.transform(parseDuration),
      durationFound,
    ),
    text: plain,
  },
  interlinkStatusInterval: {
    schema: v.pipe(
      v.union([v.string(), v.number()], "a duration such as 5s"),
      v.transform(parseDuration),
      durationFound,
    ),
    text: plain,
  },
  podsDir: { schema: path, text: plain },
  stateDir: { schema: path, text: plain },
  pathLayout: { schema: v.picklist(["namespace", "pod"], "namespace or pod"), text: plain },
  compat: { schema: v.boolean("true or false"), text: boolean },
  maxPods: { schema: count(1, 10_000), text: number },
  containerLogMaxSize: {
    schema: v.pipe(v.union([v.string(), v.number()], "bytes such as 10Mi"), v.transform(parseBytes), bytesFound),
    text: plain,
  },
  containerLogMaxFiles: { schema: count(2, 1000), text: number },
  inheritEnv: { schema: v.array(v.string("a variable's name"), "a list of variables' names"), text: list },
  images: { schema: v.array(image, "a list of images") },
  pullImages: { schema: v.boolean("true or false"), text: boolean },
  insecureRegistries: { schema: v.array(v.string("host:port"), "a list of registries"), text: list },
  nodeLabels: { schema: labels, text: pairs },
  nodeTaints: { schema: v.array(taint, "a list of taints"), text: taints },
  disableTaint: { schema: v.boolean("true or false"), text: boolean },
  nodeIP: { schema: v.pipe(v.string("an IP address"), v.ip("an IP address")), text: plain },
  podCIDR: {
    schema: v.pipe(v.string("a network"), v.regex(/^\d+(\.\d+){3}\/\d+$/, "a network such as 10.88.0.0/16")),
    text: plain,
  },
  clusterDNS: {
    schema: v.array(v.pipe(v.string("an IP address"), v.ip("an IP address")), "a list of addresses"),
    text: list,
  },
  clusterDomain: { schema: v.pipe(v.string("a domain"), v.regex(dnsSubdomain, "a DNS domain")), text: plain },
  kubeletPort: { schema: count(0, 65_535), text: number },
  healthzPort: { schema: count(0, 65_535), text: number },
  logDir: { schema: path, text: plain },
  cpu: { schema: quantity, text: plain },
  memory: { schema: quantity, text: plain },
  extendedResources: {
    schema: v.record(v.string("a resource's name"), quantity, "resources and quantities"),
    text: pairs,
  },
  extendedResourceDevices: {
    schema: v.record(v.string(), v.array(deviceID, "a list of devices"), "resources and lists of devices"),
  },
  extendedResourceVariables: {
    schema: v.record(v.string(), v.array(variable, "a list of variables"), "resources and lists of variables"),
  },
  slurmDir: { schema: path, text: plain },
  slurmPartition: { schema: v.pipe(v.string("a partition's name"), v.nonEmpty("a partition's name")), text: plain },
  slurmFlags: { schema: words, text: list },
  slurmConfig: { schema: path, text: plain },
  slurmFlavor: { schema: v.pipe(v.string("a flavor's name"), v.nonEmpty("a flavor's name")), text: plain },
  slurmPriorityClasses: { schema: v.record(v.string(), words, "priority classes and lists of options") },
  slurmPollInterval: {
    schema: v.pipe(
      v.union([v.string(), v.number()], "a duration such as 10s"),
      v.transform(parseDuration),
      durationFound,
    ),
    text: plain,
  },
  slurmMemoryOverhead: {
    schema: v.pipe(v.union([v.string(), v.number()], "bytes such as 128Mi"), v.transform(parseBytes), bytesFound),
    text: plain,
  },
  slurmNodeBinary: { schema: path, text: plain },
  podManifestPath: { schema: path, text: plain },
  providerID: { schema: v.string("text"), text: plain },
  logLevel: { schema: v.picklist(logLevels, `one of ${logLevels.join(", ")}`), text: plain },
  syncFrequency: {
    schema: v.pipe(
      v.union([v.string(), v.number()], "a duration such as 1m"),
      v.transform(parseDuration),
      durationFound,
    ),
    text: plain,
  },
};
