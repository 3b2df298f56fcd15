import { mkdtempSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { createAuthority } from "../pki/authority.ts";
import type { ClientConfig } from "./clientConfig.ts";
import { credentialsOf } from "./credentialsOf.ts";
import { ManualClock } from "./testing/manualClock.ts";

const directory = mkdtempSync(join(tmpdir(), "hostlet-token-"));
const file = join(directory, "token");
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function of(config: Partial<ClientConfig>, clock = new ManualClock()) {
  return credentialsOf({ server: "https://s", ...config }, { clock, env: {}, interactive: false });
}
const issue = () => createAuthority(0, 1e12).issue({ commonName: "c", use: "client", notBefore: 0, notAfter: 1e12 });

test("a token file goes before a token, is read again after a minute, and an absent one leaves the old token", async () => {
  writeFileSync(file, "one\n");
  const clock = new ManualClock();
  const credentials = of({ token: "t", tokenFile: file }, clock);
  const first = await credentials.current();
  expect(first).toEqual({ authorization: "Bearer one" });
  writeFileSync(file, "two\n");
  clock.advance(59_999);
  expect(await credentials.current()).toBe(first);
  clock.advance(1);
  expect(await credentials.current()).toEqual({ authorization: "Bearer two" });
  unlinkSync(file);
  clock.advance(60_000);
  expect(await credentials.current()).toEqual({ authorization: "Bearer two" });
});

test("a token that was refused is read again at once; one that has not changed stays the same credential", async () => {
  writeFileSync(file, "one");
  const credentials = of({ tokenFile: file });
  const first = await credentials.current();
  credentials.refused(first);
  expect(await credentials.current()).toBe(first);
  writeFileSync(file, "two");
  credentials.refused(first);
  expect(await credentials.current()).toEqual({ authorization: "Bearer two" });
});

test("a token file that can't be read is named", async () => {
  const credentials = of({ tokenFile: join(directory, "none") });
  await expect(credentials.current()).rejects.toThrow(/token file .*none: ENOENT/);
});

test("a token is sent as it is, and nothing without one", async () => {
  expect(await of({ token: "t" }).current()).toEqual({ authorization: "Bearer t" });
  expect(await of({}).current()).toEqual({});
});

test("client certificate files are read again; a certificate without its key yet is left alone until both are there", async () => {
  const [old, next] = [issue(), issue()];
  const [certFile, keyFile] = [join(directory, "c.crt"), join(directory, "c.key")];
  const put = (cert: string, key: string) => {
    writeFileSync(certFile, cert);
    writeFileSync(keyFile, key);
  };
  put(old.cert, old.key);
  const clock = new ManualClock();
  const credentials = of({ ...old, certFile, keyFile }, clock);
  const first = await credentials.current();
  expect(first).toEqual({ certificate: old });
  clock.advance(60_000);
  expect(await credentials.current()).toBe(first);
  put(next.cert, old.key);
  clock.advance(60_000);
  expect(await credentials.current()).toBe(first);
  put(next.cert, next.key);
  expect(await credentials.current()).toEqual({ certificate: next });
});

test("a certificate in the kubeconfig itself is the same all the time", async () => {
  const pair = issue();
  const credentials = of(pair);
  const first = await credentials.current();
  expect(first).toEqual({ certificate: pair });
  credentials.refused(first);
  expect(await credentials.current()).toBe(first);
});
