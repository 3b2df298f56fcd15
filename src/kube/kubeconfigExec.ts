import { sep } from "node:path";
import { stripVTControlCharacters } from "node:util";
import type { ExecPlugin } from "./clientConfig.ts";
import { type Fields, isMapping, type Mapping } from "./kubeconfigFields.ts";

const versions = ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"] as const;
const modes = ["Never", "IfAvailable", "Always"] as const;
const extensionName = "client.authentication.k8s.io/exec";

/** `user.exec`, as client-go's clientcmd takes it. @throws {HostletError} ConfigInvalid */
export function readExecPlugin(user: Mapping, cluster: Mapping, at: Fields): ExecPlugin | undefined {
  const exec = user.exec;
  if (exec === undefined || exec === null) return undefined;
  if (!isMapping(exec)) return at.fail("user.exec", "is no mapping");
  const command = at.string(exec, "user.exec", "command") ?? at.fail("user.exec.command", "is missing");
  const apiVersion = versions.find((version) => version === exec.apiVersion);
  if (!apiVersion) return at.fail("user.exec.apiVersion", `has to be one of: ${versions.join(", ")}`);
  const wantedMode = exec.interactiveMode ?? (apiVersion === versions[1] ? "IfAvailable" : undefined);
  const interactiveMode = modes.find((mode) => mode === wantedMode);
  if (!interactiveMode) return at.fail("user.exec.interactiveMode", `has to be one of: ${modes.join(", ")}`);
  const installHint = at.string(exec, "user.exec", "installHint");
  const clusterConfig = extensionOf(cluster);
  return {
    apiVersion,
    command: command.includes(sep) ? at.path(command) : command,
    args: list(exec.args, "user.exec.args", at).map((arg) =>
      typeof arg === "string" ? arg : at.fail("user.exec.args", "holds something that is no string"),
    ),
    env: list(exec.env, "user.exec.env", at).map((entry) => readVariable(entry, at)),
    provideClusterInfo: exec.provideClusterInfo === true,
    interactiveMode,
    ...(installHint === undefined ? {} : { installHint: stripVTControlCharacters(installHint).trim() }),
    ...(clusterConfig === undefined ? {} : { clusterConfig }),
  };
}

function list(value: unknown, field: string, at: Fields): unknown[] {
  if (value === undefined || value === null) return [];
  return Array.isArray(value) ? value : at.fail(field, "is no list");
}

function readVariable(entry: unknown, at: Fields): { name: string; value: string } {
  if (!isMapping(entry)) return at.fail("user.exec.env", "holds something without name and value");
  const name = at.string(entry, "user.exec.env", "name") ?? at.fail("user.exec.env", "has an entry without a name");
  return { name, value: at.string(entry, "user.exec.env", "value") ?? "" };
}

function extensionOf(cluster: Mapping): unknown {
  if (!Array.isArray(cluster.extensions)) return undefined;
  const found: unknown = cluster.extensions.find((one: unknown) => isMapping(one) && one.name === extensionName);
  return isMapping(found) ? found.extension : undefined;
}
