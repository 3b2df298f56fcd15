import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { loadApiConfig } from "./config.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "hostlet-api-config-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function load(yaml: string, env: Record<string, string> = {}) {
  const file = join(dir, "InterLinkConfig.yaml");
  writeFileSync(file, yaml);
  return loadApiConfig(file, env);
}

/** As a site has it today, with what is of no use here. */
const theirs = `
InterlinkAddress: "http://0.0.0.0"
InterlinkPort: 3000
SidecarURL: "http://localhost"
SidecarPort: "4000"
VerboseLogging: true
ErrorsOnlyLogging: false
DataRootFolder: "~/.interlink"
JobScriptBuildConfig:
  singularity_hub: {server: "", master_token: "", cache_validity_seconds: 100}
  apptainer_options: {executable: apptainer, fuse_mode: "", no_home: true}
`;

test("interLink's file is read as it is", () => {
  expect(load(theirs)).toEqual({
    listen: "0.0.0.0:3000",
    sidecar: { url: "http://localhost:4000" },
    jobScriptBuildConfig: {
      singularity_hub: { server: "", master_token: "", cache_validity_seconds: 100 },
      apptainer_options: { executable: "apptainer", fuse_mode: "", no_home: true },
    },
    logLevel: "debug",
    statusMaxAgeMs: 30_000,
  });
});

test("its variables count more than its file", () => {
  const env = {
    INTERLINKURL: "unix:///run/api.sock",
    INTERLINKPORT: "1",
    SIDECARURL: "unix:///run/p.sock",
    SIDECARPORT: "2",
  };
  expect(load(theirs, env)).toMatchObject({ listen: "unix:///run/api.sock", sidecar: { url: "unix:///run/p.sock" } });
});

test("INTERLINKCONFIGPATH names the file", () => {
  writeFileSync(join(dir, "f"), "InterlinkPort: 7");
  expect(loadApiConfig(undefined, { INTERLINKCONFIGPATH: join(dir, "f") }).listen).toBe("127.0.0.1:7");
});

test("hostlet's own keys stand in a section of their own", () => {
  const config = load(`
TLS: { Enabled: true, CertFile: c, KeyFile: k, CACertFile: ca }
Hostlet:
  StatusMaxAge: 5
  OIDC: { Issuer: "https://i", Audience: a, JWKS: "https://i/keys", Claims: { groups: nodes } }
`);
  expect(config).toMatchObject({ tls: { certFile: "c", keyFile: "k", caFile: "ca" }, statusMaxAgeMs: 5000 });
  expect(config.oidc).toEqual({
    issuer: "https://i",
    audience: "a",
    jwks: "https://i/keys",
    claims: { groups: "nodes" },
  });
  expect(config.sidecar).toBeUndefined();
});

test.each([
  ["InterlinkPort: [1]", "InterlinkPort: must be text"],
  ["Hostlet: { Tokenfile: x }", "Hostlet.Tokenfile: must be keys of hostlet's own"],
  ["Hostlet: { OIDC: { Issuer: x } }", "Hostlet.OIDC.Audience"],
  ["TLS: { Enabled: true }", "TLS: must be CertFile and KeyFile"],
  ["a: [", "Flow sequence"],
])("%s is refused, and the message says where", (yaml, words) => {
  expect(() => load(yaml)).toThrow(words);
});
