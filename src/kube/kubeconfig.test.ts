import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { HostletError } from "../errors.ts";
import { inClusterConfig } from "./inCluster.ts";
import { loadKubeconfig, parseKubeconfig } from "./kubeconfig.ts";
import { testCertificates } from "./testing/apiServer.ts";

let directory = "";
let pem = { cert: "", key: "" };
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "hostlet-kubeconfig-"));
  pem = testCertificates();
  writeFileSync(join(directory, "cert.pem"), pem.cert);
  writeFileSync(join(directory, "key.pem"), pem.key);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const base64 = (text: string) => Buffer.from(text).toString("base64");

type Fields = Record<string, unknown>;
const kubeconfig = (cluster: Fields = {}, user: Fields = {}, context: Fields = {}) => ({
  apiVersion: "v1",
  kind: "Config",
  "current-context": "ctx",
  clusters: [{ name: "c", cluster: { server: "https://api:6443", ...cluster } }],
  users: [{ name: "u", user }],
  contexts: [{ name: "ctx", context: { cluster: "c", user: "u", ...context } }],
});

const read = (document: unknown, context?: string) =>
  parseKubeconfig(typeof document === "string" ? document : stringify(document), {
    file: join(directory, "config"),
    ...(context ? { context } : {}),
  });

function failureOf(document: unknown, context?: string): string {
  try {
    read(document, context);
  } catch (error) {
    expect(error).toBeInstanceOf(HostletError);
    expect((error as HostletError).code).toBe("ConfigInvalid");
    return (error as Error).message;
  }
  return expect.fail("it was accepted");
}

test("data fields are decoded, files are read relative to the kubeconfig", () => {
  const inline = { "certificate-authority-data": base64(pem.cert), "tls-server-name": "kube" };
  const files = { "client-certificate": "cert.pem", "client-key": "./key.pem" };
  expect(read(kubeconfig(inline, files, { namespace: "ns" }))).toEqual({
    server: "https://api:6443",
    ca: pem.cert,
    cert: pem.cert,
    key: pem.key,
    certFile: join(directory, "cert.pem"),
    keyFile: join(directory, "key.pem"),
    tlsServerName: "kube",
    namespace: "ns",
  });
});

test("tokens, token files and skipping of verification are taken over", () => {
  const insecure = { "insecure-skip-tls-verify": true };
  expect(read(kubeconfig(insecure, { token: "t", tokenFile: "token" }))).toEqual({
    server: "https://api:6443",
    insecureSkipTlsVerify: true,
    token: "t",
    tokenFile: join(directory, "token"),
  });
});

test("a context is chosen by name, and one without a user is anonymous", () => {
  const document = kubeconfig({}, { token: "t" });
  document.contexts.push({ name: "other", context: { cluster: "c" } } as never);
  expect(read(document, "other")).toEqual({ server: "https://api:6443" });
});

test("a file is loaded by its name", () => {
  const file = join(directory, "loaded");
  writeFileSync(file, stringify(kubeconfig({ "certificate-authority": "cert.pem" })));
  expect(loadKubeconfig(file)).toEqual({ server: "https://api:6443", ca: pem.cert });
});

const plugin = (fields: Fields) =>
  kubeconfig(
    {},
    { exec: { apiVersion: "client.authentication.k8s.io/v1", command: "get", interactiveMode: "Never", ...fields } },
  );

describe("a credential plugin", () => {
  test("is taken over, a relative path of it relative to the kubeconfig", () => {
    const document = plugin({
      command: "./bin/get",
      args: ["a"],
      env: [{ name: "A", value: "b" }, { name: "C" }],
      provideClusterInfo: true,
      installHint: "run \u001b[31mthis\u001b[0m",
    });
    Object.assign(document.clusters[0]?.cluster ?? {}, {
      "proxy-url": "socks5://p",
      extensions: [{ name: "client.authentication.k8s.io/exec", extension: { audience: "x" } }],
    });
    expect(read(document)).toEqual({
      server: "https://api:6443",
      proxyUrl: "socks5://p",
      exec: {
        apiVersion: "client.authentication.k8s.io/v1",
        command: join(directory, "bin/get"),
        args: ["a"],
        env: [
          { name: "A", value: "b" },
          { name: "C", value: "" },
        ],
        provideClusterInfo: true,
        interactiveMode: "Never",
        installHint: "run this",
        clusterConfig: { audience: "x" },
      },
    });
  });

  test("of v1beta1 need not say whether it asks, and is found in PATH by its name", () => {
    const document = plugin({ apiVersion: "client.authentication.k8s.io/v1beta1", interactiveMode: undefined });
    expect(read(document).exec).toMatchObject({ command: "get", interactiveMode: "IfAvailable" });
  });
});

describe("an error names file, context and field:", () => {
  const junk = () => base64("-----BEGIN CERTIFICATE-----\njunk\n-----END CERTIFICATE-----\n");
  const inContext = 'config, context "ctx": ';
  test.each<[string, () => unknown, string]>([
    ["text that is no YAML", () => "a: b: c", "config: is no YAML"],
    ["an empty file", () => "", "config: is no kubeconfig"],
    ["a list", () => "[1]", "config: is no kubeconfig"],
    [
      "no current-context",
      () => ({ ...kubeconfig(), "current-context": "" }),
      "no current-context; set it, or choose one of: ctx",
    ],
    ["an unknown context", () => ({ ...kubeconfig(), "current-context": "x" }), 'has no context "x"; it has: ctx'],
    ["no contexts at all", () => ({ "current-context": "x" }), 'has no context "x"; it has: none'],
    ["no cluster", () => kubeconfig({}, {}, { cluster: "" }), `${inContext}context.cluster is missing`],
    [
      "an unknown cluster",
      () => kubeconfig({}, {}, { cluster: "x" }),
      `${inContext}context.cluster names "x"; clusters has: c`,
    ],
    ["an unknown user", () => kubeconfig({}, {}, { user: "x" }), `${inContext}context.user names "x"; users has: u`],
    ["a user that is no string", () => kubeconfig({}, {}, { user: 5 }), `${inContext}context.user is no string`],
    ["no server", () => kubeconfig({ server: "" }), `${inContext}cluster.server is missing`],
    [
      "a server without a scheme",
      () => kubeconfig({ server: "api:6443" }),
      `${inContext}cluster.server is no https:// URL: api:6443`,
    ],
    [
      "a CA that is no base64",
      () => kubeconfig({ "certificate-authority-data": "%" }),
      `${inContext}cluster.certificate-authority-data is no base64`,
    ],
    [
      "a CA that is no certificate",
      () => kubeconfig({ "certificate-authority-data": junk() }),
      `${inContext}cluster.certificate-authority can't be used`,
    ],
    [
      "a CA file that is missing",
      () => kubeconfig({ "certificate-authority": "no.pem" }),
      `${inContext}cluster.certificate-authority names a file that can't be read: ENOENT`,
    ],
    [
      "a CA although nothing is verified",
      () => kubeconfig({ "certificate-authority": "cert.pem", "insecure-skip-tls-verify": true }),
      `${inContext}cluster.insecure-skip-tls-verify is true although`,
    ],
    [
      "a flag that is no boolean",
      () => kubeconfig({ "insecure-skip-tls-verify": "yes" }),
      `${inContext}cluster.insecure-skip-tls-verify is neither`,
    ],
    [
      "a proxy of an unknown kind",
      () => kubeconfig({ "proxy-url": "ftp://p" }),
      `${inContext}cluster.proxy-url is of the kind ftp`,
    ],
    [
      "a password",
      () => kubeconfig({}, { username: "u" }),
      `${inContext}user.username is not supported: no API server`,
    ],
    ["a provider", () => kubeconfig({}, { "auth-provider": {} }), `${inContext}user.auth-provider is not supported`],
    [
      "a certificate without its key",
      () => kubeconfig({}, { "client-certificate": "cert.pem" }),
      `${inContext}user.client-key is missing`,
    ],
    [
      "a key without its certificate",
      () => kubeconfig({}, { "client-key": "key.pem" }),
      `${inContext}user.client-certificate is missing`,
    ],
    [
      "a certificate that is none",
      () => kubeconfig({}, { "client-certificate": "key.pem", "client-key": "key.pem" }),
      `${inContext}user.client-certificate can't be used`,
    ],
    [
      "a key that is none",
      () => kubeconfig({}, { "client-certificate": "cert.pem", "client-key": "cert.pem" }),
      `${inContext}user.client-key can't be used`,
    ],
    [
      "a CA without a certificate",
      () => kubeconfig({ "certificate-authority": "key.pem" }),
      "it holds no PEM certificate",
    ],
    ["a token that is no string", () => kubeconfig({}, { token: 5 }), `${inContext}user.token is no string`],
    ["a plugin without a command", () => plugin({ command: "" }), `${inContext}user.exec.command is missing`],
    [
      "a plugin of the oldest version",
      () => plugin({ apiVersion: "client.authentication.k8s.io/v1alpha1" }),
      `${inContext}user.exec.apiVersion has to be one of`,
    ],
    [
      "a plugin without a mode",
      () => plugin({ interactiveMode: undefined }),
      `${inContext}user.exec.interactiveMode has`,
    ],
    ["a plugin with a number", () => plugin({ args: [1] }), `${inContext}user.exec.args holds`],
  ])("%s", (_, document, expected) => {
    expect(failureOf(document())).toContain(expected);
  });

  test("a key of another certificate", () => {
    const other =
      "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n-----END PRIVATE KEY-----\n";
    const user = { "client-certificate": "cert.pem", "client-key-data": base64(other) };
    expect(failureOf(kubeconfig({}, user))).toContain("user.client-key can't be used: it is not the key");
  });

  test("a client certificate whose time is over", () => {
    const document = stringify(kubeconfig({}, { "client-certificate": "cert.pem", "client-key": "key.pem" }));
    const file = join(directory, "config");
    expect(() => parseKubeconfig(document, { file, now: Date.UTC(2100, 0) })).toThrow(
      /context "ctx": user.client-certificate can't be used: it expired at .* \(by this host's clock it is Fri, 01 Jan 2100/,
    );
  });

  test("a file that does not exist", () => {
    expect(() => loadKubeconfig(join(directory, "nowhere"))).toThrow(/kubeconfig .*nowhere can't be read: ENOENT/);
  });

  test("what a token or a key holds is never told", () => {
    const message = failureOf(
      kubeconfig({}, { "client-certificate": "cert.pem", "client-key-data": base64("s3cret") }),
    );
    expect(message).not.toContain("s3cret");
    expect(message).not.toContain(base64("s3cret"));
  });
});

describe("in a cluster", () => {
  test("the configuration is the pod's service account", () => {
    for (const [name, text] of [
      ["token", "t\n"],
      ["ca.crt", pem.cert],
      ["namespace", "ns"],
    ] as const) {
      writeFileSync(join(directory, name), text);
    }
    const env = { KUBERNETES_SERVICE_HOST: "fd00::1", KUBERNETES_SERVICE_PORT: "443" };
    expect(inClusterConfig(env, directory)).toEqual({
      server: "https://[fd00::1]:443",
      ca: pem.cert.trim(),
      tokenFile: join(directory, "token"),
      namespace: "ns",
    });
  });

  test("there is none outside of a pod, and a pod without a service account is told so", () => {
    expect(inClusterConfig({}, directory)).toBeUndefined();
    const env = { KUBERNETES_SERVICE_HOST: "10.0.0.1", KUBERNETES_SERVICE_PORT: "443" };
    expect(() => inClusterConfig(env, join(directory, "none"))).toThrow(
      /token can't be read.*automountServiceAccountToken/,
    );
  });
});
