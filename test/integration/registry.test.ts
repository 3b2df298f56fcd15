import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createHash, sign } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { Header } from "tar";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { createAuthority } from "../../src/pki/authority.ts";
import { removeTree } from "../../src/removeTree.ts";
import type { ImageCredential } from "../../src/runtimes/images.ts";
import { createImageService } from "../../src/runtimes/process/images/service.ts";

const program = "docker-registry";
const isThere = spawnSync(program, ["--version"]).status === 0;
if (!isThere)
  console.log(`SKIPPED: pulls from a registry: ${program} is not installed (apt-get install docker-registry)`);

const sha256 = (data: Buffer | string) => `sha256:${createHash("sha256").update(data).digest("hex")}`;

/** `secret`, as htpasswd keeps it. */
const bcrypt = "$2b$04$efMuq26u7AAAMjRR3Gdv6.KC8Xb24Wo3h4MR5k3sVnOMFAuhFFSOW";

function tarOf(name: string, text: string): Buffer {
  const header = Buffer.alloc(512);
  const [uid, gid] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0];
  new Header({ path: name, type: "File", mode: 0o644, size: text.length, uid, gid, mtime: new Date(1_000_000) }).encode(
    header,
    0,
  );
  return Buffer.concat([header, Buffer.from(text), Buffer.alloc(512 - (text.length % 512)), Buffer.alloc(1024)]);
}

describe.skipIf(!isThere)("pulling from a registry", () => {
  let dir: string;
  let registry: ChildProcess | undefined;
  let tokens: Server | undefined;
  let host: string;

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "hostlet-registry-"));
  });
  afterEach(async () => {
    if (registry) {
      const ended = new Promise((resolve) => registry?.once("exit", resolve));
      registry.kill();
      await ended;
    }
    registry = undefined;
    await new Promise<void>((resolve) => (tokens ? tokens.close(() => resolve()) : resolve()));
    tokens = undefined;
    await removeTree(dir);
  });

  /** @param auth of its configuration */
  async function start(auth: object | undefined): Promise<void> {
    const probe = createServer();
    await new Promise<void>((resolve) => probe.listen(0, "127.0.0.1", resolve));
    host = `127.0.0.1:${(probe.address() as AddressInfo).port}`;
    await new Promise((resolve) => probe.close(resolve));
    const config = {
      version: "0.1",
      log: { level: "warn" },
      storage: { filesystem: { rootdirectory: join(dir, "registry") } },
      http: { addr: host, secret: "x" },
      ...(auth && { auth }),
    };
    writeFileSync(join(dir, "config.yml"), JSON.stringify(config));
    registry = spawn(program, ["serve", join(dir, "config.yml")], { stdio: "ignore" });
    const deadline = Date.now() + 30_000;
    while (!(await fetch(`http://${host}/v2/`).catch(() => undefined))) {
      if (Date.now() > deadline) throw new Error("the registry does not answer");
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** An image of two layers, and an index over it. @returns the digest of its manifest */
  async function push(repository: string, headers: Record<string, string> = {}): Promise<string> {
    const base = `http://${host}/v2/${repository}`;
    const expectOk = async (response: Response) => {
      if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
      return response;
    };
    const blob = async (data: Buffer | string, mediaType: string) => {
      const begun = await expectOk(await fetch(`${base}/blobs/uploads/`, { method: "POST", headers }));
      const to = new URL(begun.headers.get("location") ?? "", base);
      to.searchParams.set("digest", sha256(data));
      const type = { ...headers, "content-type": "application/octet-stream" };
      await expectOk(await fetch(to, { method: "PUT", headers: type, body: data }));
      return { mediaType, digest: sha256(data), size: data.length };
    };
    const put = (reference: string, mediaType: string, text: string) =>
      fetch(`${base}/manifests/${reference}`, {
        method: "PUT",
        headers: { ...headers, "content-type": mediaType },
        body: text,
      });
    const layers = [tarOf("one", "1"), tarOf("two", "2")];
    const config = JSON.stringify({
      config: { Entrypoint: ["/one"], Env: ["A=b"] },
      ...{ os: "linux", architecture: "amd64", history: [] },
      rootfs: { type: "layers", diff_ids: layers.map(sha256) },
    });
    const manifestType = "application/vnd.docker.distribution.manifest.v2+json";
    const manifest = JSON.stringify({
      ...{ schemaVersion: 2, mediaType: manifestType },
      config: await blob(config, "application/vnd.docker.container.image.v1+json"),
      layers: await Promise.all(
        layers.map((layer) => blob(gzipSync(layer), "application/vnd.docker.image.rootfs.diff.tar.gzip")),
      ),
    });
    await expectOk(await put(sha256(manifest), manifestType, manifest));
    const listType = "application/vnd.docker.distribution.manifest.list.v2+json";
    const architecture = { x64: "amd64" }[process.arch as string] ?? process.arch;
    const list = JSON.stringify({
      ...{ schemaVersion: 2, mediaType: listType },
      manifests: [
        {
          mediaType: manifestType,
          digest: sha256(manifest),
          size: manifest.length,
          platform: { os: "linux", architecture },
        },
      ],
    });
    await expectOk(await put("v1", listType, list));
    return sha256(manifest);
  }

  const images = () =>
    createImageService({
      dir: join(dir, "images"),
      find: () => undefined,
      ...{ pull: true, insecureRegistries: [host], clock: systemClock },
    });
  const pull = (image: string, credentials: ImageCredential[] = []) =>
    images().pull(image, credentials, () => {}, new AbortController().signal);
  const login = (password: string): ImageCredential => ({ registry: host, username: "me", password });

  it("takes the manifest for this host, and every layer, and keeps the image under its name", async () => {
    await start(undefined);
    const digest = await push("team/app");
    const image = `${host}/team/app:v1`;
    expect(await images().find(image)).toBeUndefined();
    const pulled = await pull(image);
    expect(pulled).toMatchObject({ id: `${host}/team/app@${digest}`, entrypoint: ["/one"], env: { A: "b" } });
    expect(readFileSync(join(pulled.rootfs!, "two"), "utf8")).toBe("2");
    expect(await images().find(image)).toEqual(pulled);
    expect(await pull(`${host}/team/app@${digest}`)).toMatchObject({ rootfs: pulled.rootfs });
    expect(await images().list()).toEqual([{ names: [image, `${host}/team/app@${digest}`], sizeBytes: 2 }]);
  });

  it("says what there is not, and what is damaged", async () => {
    await start(undefined);
    const digest = await push("app");
    await expect(pull(`${host}/app:v2`)).rejects.toMatchObject({
      ...{ reason: "ErrImagePull", message: expect.stringMatching(/not found \(manifest unknown\)/) },
    });
    await expect(pull(`${host}/no/such`)).rejects.toMatchObject({ message: expect.stringContaining("not found") });
    const blob = join(dir, "registry/docker/registry/v2/blobs/sha256", sha256(gzipSync(tarOf("two", "2"))).slice(7, 9));
    const path = join(blob, sha256(gzipSync(tarOf("two", "2"))).slice(7), "data");
    writeFileSync(path, gzipSync(tarOf("two", "3")));
    await expect(pull(`${host}/app@${digest}`)).rejects.toMatchObject({ message: expect.stringContaining("damaged") });
    expect(await images().list()).toEqual([]);
  });

  it("says that nobody answers", async () => {
    host = "127.0.0.1:1";
    await expect(pull(`${host}/app`)).rejects.toMatchObject({
      message: /failed to reach registry.*ECONNREFUSED/ as unknown,
    });
  });

  it("logs in with a name and a password, trying what it has", async () => {
    mkdirSync(join(dir, "auth"));
    writeFileSync(join(dir, "auth/htpasswd"), `me:${bcrypt}\n`);
    await start({ htpasswd: { realm: "test", path: join(dir, "auth/htpasswd") } });
    const basic = `Basic ${Buffer.from("me:secret").toString("base64")}`;
    await push("app", { authorization: basic });
    await expect(pull(`${host}/app:v1`)).rejects.toMatchObject({
      message: /failed to authorize.*imagePullSecrets/ as unknown,
    });
    await expect(pull(`${host}/app:v1`, [login("wrong")])).rejects.toMatchObject({ reason: "ErrImagePull" });
    expect(await pull(`${host}/app:v1`, [login("wrong"), login("secret")])).toMatchObject({ entrypoint: ["/one"] });
  });

  it("gets a token of who the registry names", async () => {
    const now = Date.now();
    const authority = createAuthority(now - 3600_000, now + 3600_000);
    const leaf = authority.issue({
      ...{ commonName: "tokens", use: "server" as const },
      ...{ notBefore: now - 60_000, notAfter: now + 600_000 },
    });
    writeFileSync(join(dir, "ca.pem"), authority.caPem);
    const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString("base64url");
    const x5c = [leaf.cert.replaceAll(/-----[A-Z ]+-----|\s/g, "")];
    const tokenFor = (scope: string | null, actions: string[]) => {
      const access = scope ? [{ type: "repository", name: scope.split(":")[1], actions }] : [];
      const seconds = Math.floor(Date.now() / 1000);
      const claims = {
        iss: "tests",
        aud: "registry",
        sub: "me",
        exp: seconds + 60,
        nbf: seconds - 60,
        iat: seconds,
        jti: "1",
        access,
      };
      const signed = `${encode({ typ: "JWT", alg: "ES256", x5c })}.${encode(claims)}`;
      const signature = sign("sha256", Buffer.from(signed), { key: leaf.key, dsaEncoding: "ieee-p1363" });
      return `${signed}.${signature.toString("base64url")}`;
    };
    const asked: (string | undefined)[] = [];
    tokens = createServer((request, response) => {
      asked.push(request.headers.authorization);
      const url = new URL(request.url ?? "", "http://x");
      if (request.headers.authorization !== `Basic ${Buffer.from("me:secret").toString("base64")}`) {
        response.writeHead(401).end();
        return;
      }
      response.end(JSON.stringify({ token: tokenFor(url.searchParams.get("scope"), ["pull"]) }));
    });
    await new Promise<void>((resolve) => tokens!.listen(0, "127.0.0.1", resolve));
    const realm = `http://127.0.0.1:${(tokens.address() as AddressInfo).port}/token`;
    await start({ token: { realm, service: "registry", issuer: "tests", rootcertbundle: join(dir, "ca.pem") } });
    await push("app", { authorization: `Bearer ${tokenFor("repository:app", ["pull", "push"])}` });
    await expect(pull(`${host}/app:v1`, [login("wrong")])).rejects.toMatchObject({
      message: /failed to authorize/ as unknown,
    });
    asked.length = 0;
    expect(await pull(`${host}/app:v1`, [login("secret")])).toMatchObject({ env: { A: "b" } });
    expect(asked).toHaveLength(1);
  });
});
