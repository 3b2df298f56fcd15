import type { ObjectSource } from "../../kube/objectSource.ts";
import type { ConfigMap, Secret } from "../../kube/types.ts";

/** An ObjectSource for tests: what stands in the two records now. A value that is an Error is thrown. */
export function testObjects(
  configMaps: Record<string, ConfigMap | Error> = {},
  secrets: Record<string, Secret | Error> = {},
): ObjectSource & { reads: string[] } {
  const reads: string[] = [];
  return {
    reads,
    async get(kind, namespace, name) {
      reads.push(`${kind}/${namespace}/${name}`);
      const found = kind === "ConfigMap" ? configMaps[name] : secrets[name];
      if (found instanceof Error) throw found;
      return found && { metadata: { namespace, name }, ...found };
    },
    watch() {},
  };
}

export function base64(text: string | Uint8Array): string {
  return Buffer.from(text).toString("base64");
}
