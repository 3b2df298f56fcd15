import { existsSync, readFileSync } from "node:fs";
import * as v from "valibot";
import { HostletError } from "../errors.ts";
import type { Io } from "./console.ts";
import { parseLegacyFlags } from "./legacyFlags.ts";
import { type NodeCommandFlags, node } from "./node.ts";

/** virtual-kubelet's mock provider configuration: one entry a node. */
const providerConfig = v.record(
  v.string(),
  v.looseObject({
    cpu: v.optional(v.string()),
    memory: v.optional(v.string()),
    pods: v.optional(v.union([v.string(), v.number()])),
    others: v.optional(v.record(v.string(), v.string())),
    providerID: v.optional(v.string()),
  }),
);

/**
 * The executable `virtual-kubelet`: the predecessors' start scripts as they stand, on `hostlet node`.
 * @throws {HostletError} ConfigInvalid
 */
export async function virtualKubelet(args: string[], io: Io): Promise<number> {
  const { flags, providerConfig: file, warnings } = parseLegacyFlags(args, io.env);
  if (file !== undefined) Object.assign(flags, readProviderConfig(file, String(flags.nodeName)));
  for (const [key, variable] of [
    ["tlsCertFile", "APISERVER_CERT_LOCATION"],
    ["tlsPrivateKeyFile", "APISERVER_KEY_LOCATION"],
    ["clientCaFile", "APISERVER_CA_CERT_LOCATION"],
  ] as const) {
    const path = flags[key];
    if (path === undefined || existsSync(path)) continue;
    // The predecessors went on without; so does this, but not without TLS.
    warnings.push(`${variable}: there is no ${path}`);
    delete flags[key];
  }
  for (const warning of warnings) io.stderr.write(`warning: ${warning}\n`);
  return node(flags, io);
}

function readProviderConfig(file: string, nodeName: string): Partial<NodeCommandFlags> {
  const fail = (why: string, cause?: unknown) =>
    new HostletError("ConfigInvalid", `--provider-config ${file}: ${why}`, { cause });
  let document: unknown;
  try {
    document = JSON.parse(readFileSync(file, "utf8"));
  } catch (cause) {
    throw fail((cause as Error).message, cause);
  }
  const parsed = v.safeParse(providerConfig, document);
  if (!parsed.success) throw fail(`${v.getDotPath(parsed.issues[0]) ?? ""}: ${parsed.issues[0].message}`);
  const entry = parsed.output[nodeName];
  if (!entry)
    throw fail(`has no entry for node ${nodeName}, only for ${Object.keys(parsed.output).join(", ") || "none"}`);
  const { cpu, memory, pods, others, providerID } = entry;
  return {
    ...(cpu !== undefined && { cpu }),
    ...(memory !== undefined && { memory }),
    ...(pods !== undefined && { maxPods: Number(pods) }),
    ...(others !== undefined && { extendedResources: others }),
    ...(providerID !== undefined && { providerID }),
  };
}
