import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { HostletError } from "../errors.ts";
import { createAuthority } from "../pki/authority.ts";
import type { ExecPlugin } from "./clientConfig.ts";
import { execCredentials, execInfo, parseExecCredential } from "./execPlugin.ts";
import { ManualClock } from "./testing/manualClock.ts";

const v1: ExecPlugin = {
  apiVersion: "client.authentication.k8s.io/v1",
  command: "get-token",
  args: [],
  env: [],
  provideClusterInfo: false,
  interactiveMode: "Never",
};
const v1beta1: ExecPlugin = { ...v1, apiVersion: "client.authentication.k8s.io/v1beta1" };
const answer = (status: unknown, fields: object = {}) =>
  JSON.stringify({ kind: "ExecCredential", apiVersion: v1.apiVersion, status, ...fields });

test("a plugin is told its version, whether it may ask, and the cluster where it wants that", () => {
  const cluster = { server: "https://s", ca: "CA", proxyUrl: "http://p", tlsServerName: "n" };
  expect(JSON.parse(execInfo(v1beta1, cluster, true))).toEqual({
    kind: "ExecCredential",
    apiVersion: "client.authentication.k8s.io/v1beta1",
    spec: { interactive: true },
  });
  const wants = { ...v1, provideClusterInfo: true, clusterConfig: { audience: "a" } };
  expect(JSON.parse(execInfo(wants, cluster, false)).spec).toEqual({
    interactive: false,
    cluster: {
      server: "https://s",
      "certificate-authority-data": "Q0E=",
      "proxy-url": "http://p",
      "tls-server-name": "n",
      config: { audience: "a" },
    },
  });
});

describe("what a plugin answers", () => {
  const pair = createAuthority(0, 1e12).issue({ commonName: "c", use: "client", notBefore: 0, notAfter: 1e12 });
  const certificate = { clientCertificateData: pair.cert, clientKeyData: pair.key };

  test("is a token, a certificate or both, until a time", () => {
    const status = { token: "t", ...certificate, expirationTimestamp: "1970-01-01T00:01:00Z" };
    expect(parseExecCredential(v1, answer(status))).toEqual({
      credential: { authorization: "Bearer t", certificate: pair },
      expiresAt: 60_000,
    });
    expect(parseExecCredential(v1, answer(certificate))).toEqual({
      credential: { certificate: pair },
      expiresAt: undefined,
    });
  });

  test.each<[string, ExecPlugin, string, string]>([
    ["no JSON", v1, "s3cret", "no JSON"],
    ["another kind", v1, "{}", "no ExecCredential"],
    ["another version", v1beta1, answer({ token: "s3cret" }), "apiVersion client.authentication.k8s.io/v1 where"],
    ["no status", v1, answer(undefined), "has no status"],
    ["nothing", v1, answer({ token: "" }), "neither a token nor a certificate"],
    ["half a pair", v1, answer({ clientKeyData: "s3cret" }), "only one of certificate and key"],
    ["no certificate", v1, answer({ clientCertificateData: "s3cret", clientKeyData: "s3cret" }), "no PEM certificate"],
    ["no time", v1, answer({ token: "s3cret", expirationTimestamp: "soon" }), "is no time"],
  ])("%s is refused, and not quoted", (_, plugin, stdout, expected) => {
    let message = "";
    try {
      parseExecCredential(plugin, stdout);
    } catch (error) {
      message = (error as Error).message;
    }
    expect(message).toContain(expected);
    expect(message).not.toContain("s3cret");
  });
});

describe("a plugin that runs", () => {
  let directory = "";
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "hostlet-exec-"));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  /** A shell script; each run adds a line to `runs`. */
  function script(body: string): string {
    const file = join(directory, "plugin.sh");
    writeFileSync(file, `#!/bin/sh\necho run >> ${directory}/runs\n${body}\n`, { mode: 0o755 });
    return file;
  }
  const runs = () => readFileSync(join(directory, "runs"), "utf8").trim().split("\n").length;
  const start = (plugin: Partial<ExecPlugin>, clock = new ManualClock()) => {
    const env = { PATH: process.env.PATH };
    const credentials = execCredentials(
      { ...v1, ...plugin },
      { server: "https://s" },
      { clock, env, interactive: false },
    );
    return { credentials, clock };
  };
  const giving = (expiry: string) =>
    `n=$(wc -l < ${directory}/runs); echo '{"kind":"ExecCredential","apiVersion":"${v1.apiVersion}","status":{"token":"t'$n'"${expiry}}}'`;

  test("gets its arguments, its environment and KUBERNETES_EXEC_INFO", async () => {
    const command = script(`echo "$1 $OWN $KUBERNETES_EXEC_INFO" > ${directory}/seen\n${giving("")}`);
    await start({ command, args: ["arg"], env: [{ name: "OWN", value: "own" }] }).credentials.current();
    expect(readFileSync(join(directory, "seen"), "utf8")).toBe(
      `arg own {"kind":"ExecCredential","apiVersion":"${v1.apiVersion}","spec":{"interactive":false}}\n`,
    );
  });

  test("runs once for many requests, and again when its credential has expired or was refused", async () => {
    const { credentials, clock } = start({ command: script(giving(',"expirationTimestamp":"1970-01-01T00:01:00Z"')) });
    const [first, same] = await Promise.all([credentials.current(), credentials.current()]);
    expect(first).toEqual({ authorization: "Bearer t1" });
    expect(same).toBe(first);
    clock.advance(60_000);
    expect(credentials.current()).toBe(first);
    clock.advance(1);
    const second = await credentials.current();
    expect(second).toEqual({ authorization: "Bearer t2" });
    credentials.refused(first);
    expect(await credentials.current()).toEqual({ authorization: "Bearer t3" }); // expired since 1970
    expect(runs()).toBe(3);
  });

  test("runs again after a refusal of what it gave last, but not of what it gave before", async () => {
    const { credentials } = start({ command: script(giving("")) });
    const first = await credentials.current();
    credentials.refused(first);
    const second = await credentials.current();
    expect(second).toEqual({ authorization: "Bearer t2" });
    credentials.refused(first);
    expect(await credentials.current()).toBe(second);
  });

  test("and fails tells what it said, and may be tried again", async () => {
    const { credentials } = start({ command: script("echo please log in >&2; exit 3") });
    const error = await Promise.resolve(credentials.current()).catch((cause: unknown) => cause);
    expect(String(error)).toMatch(/credential plugin .*plugin.sh: it ended with exit code 3: please log in/);
    expect(error).not.toBeInstanceOf(HostletError);
  });

  test("and hangs is given up", async () => {
    const { credentials, clock } = start({ command: script("exec sleep 1000") });
    const failure = expect(credentials.current()).rejects.toThrow("it was not done within 60 s");
    clock.advance(60_000);
    await failure;
  });

  test("ends with its client", async () => {
    const { credentials } = start({ command: script("exec sleep 1000") });
    const failure = expect(credentials.current()).rejects.toThrow("the client was closed");
    credentials.close();
    await failure;
  });

  test("that is missing is a mistake that no waiting mends, and the hint says what to do", async () => {
    const { credentials } = start({ command: "no-such-plugin-anywhere", installHint: "Get it at example.org." });
    await expect(credentials.current()).rejects.toMatchObject({
      code: "ConfigInvalid",
      message: "credential plugin no-such-plugin-anywhere is not installed or not in PATH. Get it at example.org.",
    });
  });

  test("that has to ask but can't is refused", async () => {
    const { credentials } = start({ command: "true", interactiveMode: "Always" });
    await expect(credentials.current()).rejects.toThrow("its interactiveMode is Always");
  });
});
