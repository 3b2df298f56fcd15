import { readFileSync } from "node:fs";
import { join } from "node:path";
import { HostletError } from "../errors.ts";
import type { ClientConfig } from "./clientConfig.ts";

/** Where the kubelet puts a pod's service account, as client-go's rest.InClusterConfig has it. */
export const serviceAccountDirectory = "/var/run/secrets/kubernetes.io/serviceaccount";

/**
 * The configuration that every pod gets from its cluster; undefined outside of one.
 * @throws {HostletError} ConfigInvalid: in a pod, but without a service account
 */
export function inClusterConfig(
  env: NodeJS.ProcessEnv,
  directory: string = serviceAccountDirectory,
): ClientConfig | undefined {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = env;
  if (!host || !port) return undefined;
  const read = (name: string): string => {
    try {
      return readFileSync(join(directory, name), "utf8").trim();
    } catch (cause) {
      const message = `in-cluster configuration: ${join(directory, name)} can't be read: ${(cause as Error).message}; does the pod set automountServiceAccountToken: false?`;
      throw new HostletError("ConfigInvalid", message, { cause });
    }
  };
  read("token"); // an unreadable token is told of now, not with the first request
  return {
    server: `https://${host.includes(":") ? `[${host}]` : host}:${port}`,
    ca: read("ca.crt"),
    tokenFile: join(directory, "token"),
    namespace: read("namespace"),
  };
}
