import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { KubeClient } from "../../kube/client.ts";
import { createAuthority } from "../../pki/authority.ts";
import type { ServingCertificates } from "../../server/kubeletServer.ts";
import { silentLogger } from "../../telemetry/log.ts";
import { ManualClock } from "../../testing/manualClock.ts";
import { until } from "../../testing/turns.ts";
import { certificateWishes } from "../admit/objects.ts";
import { clientPairFile, renewable, storedClient } from "./clientCertificate.ts";
import { CertificateManager, type CertificateManagerOptions } from "./manager.ts";
import { type Pair, pairOf, readPair, writePair } from "./pairFile.ts";
import { rotationTime } from "./rotationTime.ts";
import { keepServing } from "./serving.ts";

const start = Date.parse("2026-01-01T00:00:00Z");
const minute = 60_000;
const authority = createAuthority(start - minute, start + 1e10);
const admission = { nodeName: "n1", nodeLabels: {}, nodeTaints: [], disableTaint: true, architecture: "" };
const wishes = certificateWishes(
  { ...admission, ips: ["10.0.0.1"], names: [], expirationSeconds: undefined },
  undefined,
);
const client = {} as KubeClient;

const issue = (from: number, until: number, names = ["n1", "10.0.0.1"], commonName = "system:node:n1") =>
  pairOf(authority.issue({ commonName, names, use: "server", notBefore: from, notAfter: until }));

let dir: string;
let clock: ManualClock;
let abort: AbortController;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "hostlet-certificates-"));
  clock = new ManualClock(start);
  abort = new AbortController();
});
afterEach(() => {
  abort.abort();
  rmSync(dir, { recursive: true });
});

test("a certificate is renewed at 70 to 90 % of its life", () => {
  expect(rotationTime({ notBefore: 1000, notAfter: 2000 }, 0)).toBe(1700);
  expect(rotationTime({ notBefore: 1000, notAfter: 2000 }, 1)).toBe(1900);
  fc.assert(
    fc.property(fc.nat(), fc.nat(), fc.double({ min: 0, max: 1, noNaN: true }), (from, life, random) => {
      const at = rotationTime({ notBefore: from, notAfter: from + life }, random);
      expect(at).toBeGreaterThanOrEqual(from + life * 0.699);
      expect(at).toBeLessThanOrEqual(from + life * 0.901);
    }),
  );
});

describe("a pair's file", () => {
  test("is the owner's alone, and read back as it was written", () => {
    const file = join(dir, "pki", "pair.pem");
    const pair = issue(start, start + minute);
    writePair(file, pair);
    writePair(file, pair);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(statSync(join(dir, "pki")).mode & 0o777).toBe(0o700);
    expect(readPair(file)).toMatchObject({ cert: pair.cert, key: pair.key, notAfter: pair.notAfter });
  });

  test.each<[string, (pair: Pair) => string]>([
    ["without a key", ({ cert }) => cert],
    ["with somebody else's key", ({ cert }) => cert + issue(start, start + minute).key],
    ["with nothing in it", () => ""],
  ])("%s is as good as none", (_name, text) => {
    const file = join(dir, "pair.pem");
    writeFileSync(file, text(issue(start, start + minute)));
    expect(readPair(file)).toBeUndefined();
  });
});

describe("the manager of a certificate", () => {
  const file = () => join(dir, "pair.pem");
  function managed(ask: NonNullable<CertificateManagerOptions["ask"]>) {
    const used: number[] = [];
    const manager = new CertificateManager({
      client,
      nodeName: "n1",
      wish: wishes.serving,
      file: file(),
      changed: ({ notAfter }) => used.push(notAfter),
      clock,
      log: silentLogger,
      random: () => 0,
      ask,
      signal: abort.signal,
    });
    void manager.run();
    return { manager, used };
  }
  const lasting = (ms: number) => {
    const asked: number[] = [];
    const ask = async () => {
      asked.push(clock.now());
      return issue(clock.now(), clock.now() + ms);
    };
    return { asked, ask };
  };

  test("has one issued where there is none, keeps it, and has the next one issued before it ends", async () => {
    const { asked, ask } = lasting(10 * minute);
    const { used } = managed(ask);
    await until(() => used.length === 1);
    expect(readPair(file())?.notAfter).toBe(used[0]);
    await until(() => clock.pending === 1);
    clock.advance(1000);
    await until(() => clock.pending === 1);
    clock.advance(7 * minute - 1000 - 1);
    expect(asked).toHaveLength(1);
    clock.advance(1);
    await until(() => used.length === 2);
    expect(asked).toEqual([start, start + 7 * minute]);
    expect(readPair(file())?.notAfter).toBe(used[1]);
  });

  test("goes on with the one that is kept, as long as that is good and for the same names", async () => {
    writePair(file(), issue(start - minute, start + 9 * minute));
    const { asked, ask } = lasting(minute);
    const { used } = managed(ask);
    expect(used).toEqual([start + 9 * minute]);
    await until(() => clock.pending === 1);
    expect(asked).toEqual([]);
  });

  test.each<[string, () => Pair]>([
    ["over", () => issue(start - minute, start - 1000)],
    ["for another address", () => issue(start - minute, start + minute, ["n1", "10.0.0.2"])],
    ["another node's", () => issue(start - minute, start + minute, undefined, "system:node:n2")],
  ])("asks anew where the kept one is %s", async (_name, kept) => {
    writePair(file(), kept());
    const { asked, ask } = lasting(minute);
    managed(ask);
    await until(() => asked.length === 1);
  });

  test("keeps what it has while nobody approves the next, and asks again later and later", async () => {
    writePair(file(), issue(start - 8 * minute, start + 2 * minute));
    let asked = 0;
    const { manager, used } = managed(() => {
      asked++;
      return Promise.reject(new Error("nobody approved"));
    });
    for (const pause of [minute, 2 * minute, 4 * minute]) {
      await until(() => clock.pending === 1);
      expect(clock.nextIn).toBe(pause);
      clock.advance(pause);
    }
    await until(() => asked === 4);
    expect(used).toHaveLength(1);
    expect(manager.current?.notAfter).toBe(start + 2 * minute);
  });

  test("leaves no timer when it is stopped", async () => {
    const { used } = managed(lasting(10 * minute).ask);
    await until(() => used.length === 1 && clock.pending === 1);
    abort.abort();
    await until(() => clock.pending === 0);
  });
});

describe("files that a user gave", () => {
  const put = (pair: { cert: string; key: string }, clientCa = authority.caPem) => {
    writeFileSync(join(dir, "crt"), pair.cert);
    writeFileSync(join(dir, "key"), pair.key);
    writeFileSync(join(dir, "ca"), clientCa);
    chmodSync(join(dir, "key"), 0o600);
    // The next look sees it though size and inode are the same.
    for (const name of ["crt", "key", "ca"])
      utimesSync(join(dir, name), new Date(), new Date(Date.now() + ++ticks * 1000));
  };
  let ticks = 0;
  const setUp = async () => {
    const first = issue(start - minute, start + 10 * minute);
    put(first);
    const used: ServingCertificates[] = [];
    const files = { cert: join(dir, "crt"), key: join(dir, "key"), clientCa: join(dir, "ca") };
    keepServing({
      serving: { cert: first.cert, key: first.key, clientCa: authority.caPem, files },
      use: (certificates) => used.push(certificates),
      client,
      nodeName: "n1",
      ip: "10.0.0.1",
      stateDir: dir,
      clock,
      log: silentLogger,
      signal: abort.signal,
    });
    await until(() => clock.pending === 1);
    return used;
  };
  const look = async () => {
    clock.advance(10_000);
    await until(() => clock.pending === 1);
  };

  test("are used anew when they have changed, and only then", async () => {
    const used = await setUp();
    await look();
    expect(used).toEqual([]);
    const next = issue(start, start + 20 * minute);
    put(next);
    await look();
    expect(used).toEqual([{ cert: next.cert, key: next.key, clientCa: authority.caPem }]);
    await look();
    expect(used).toHaveLength(1);
  });

  test("half written or expired leave those of before, and are looked at again", async () => {
    const used = await setUp();
    const next = issue(start, start + 20 * minute);
    put({ cert: next.cert, key: issue(start, start + minute).key });
    await look();
    put(issue(start - 2 * minute, start - minute));
    await look();
    put(next, "no PEM");
    await look();
    expect(used).toEqual([]);
    put(next);
    await look();
    expect(used).toHaveLength(1);
  });
});

describe("a client certificate that is renewed", () => {
  const config = (pair: Pair) => ({
    server: "https://x",
    ca: authority.caPem,
    cert: pair.cert,
    key: pair.key,
    token: "t",
  });

  test("is put where it is renewed, and the client reads it from there", () => {
    const given = issue(start - minute, start + minute);
    const renewed = renewable(config(given), dir, "n1", start);
    const file = clientPairFile(dir);
    expect(renewed).toEqual({
      server: "https://x",
      ca: authority.caPem,
      cert: given.cert,
      key: given.key,
      certFile: file,
      keyFile: file,
    });
    expect(readFileSync(file, "utf8")).toContain("PRIVATE KEY");
  });

  test("that was renewed already goes before the kubeconfig's older one", () => {
    const newer = issue(start, start + 10 * minute);
    writePair(clientPairFile(dir), newer);
    expect(renewable(config(issue(start - minute, start + minute)), dir, "n1", start).cert).toBe(newer.cert);
  });

  test("gives way to a kubeconfig that is newer", () => {
    writePair(clientPairFile(dir), issue(start - minute, start + minute));
    const newer = issue(start, start + minute);
    expect(renewable(config(newer), dir, "n1", start).cert).toBe(newer.cert);
  });

  test("is none where it is over, or another node's", () => {
    writePair(clientPairFile(dir), issue(start - 2 * minute, start - minute));
    expect(storedClient(dir, "n1", start)).toBeUndefined();
    writePair(clientPairFile(dir), issue(start, start + minute, undefined, "system:node:n2"));
    expect(storedClient(dir, "n1", start)).toBeUndefined();
  });
});
