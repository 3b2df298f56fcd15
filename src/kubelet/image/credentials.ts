import type { Secret } from "../../kube/types.ts";
import type { ImageCredential } from "../../runtimes/images.ts";
import { plainHost, registryOf } from "./imageName.ts";

interface AuthEntry {
  username?: unknown;
  password?: unknown;
  /** base64 of `username:password` */
  auth?: unknown;
}

/** The credentials in a Secret of type kubernetes.io/dockerconfigjson or kubernetes.io/dockercfg; none where it can't be read. */
export function credentialsIn(secret: Secret): ImageCredential[] {
  const { data = {} } = secret;
  const config = readJSON(data[".dockerconfigjson"]);
  const entries = isRecord(config?.auths) ? config.auths : readJSON(data[".dockercfg"]);
  return Object.entries(entries ?? {}).flatMap(([registry, entry]) => {
    const login = isRecord(entry) ? loginOf(entry) : undefined;
    return login ? [{ registry, ...login }] : [];
  });
}

/** Those that are for this image's registry (and path), the most specific first: as the kubelet's keyring has them. */
export function credentialsFor(image: string, credentials: readonly ImageCredential[]): ImageCredential[] {
  const { host, path } = registryOf(image);
  return credentials
    .map((credential) => ({ credential, place: placeOf(credential.registry) }))
    .filter(({ place }) => hostMatches(place.host, host) && path.startsWith(place.path))
    .sort((a, b) => b.place.path.length - a.place.path.length || b.place.host.length - a.place.host.length)
    .map(({ credential }) => credential);
}

/** `https://index.docker.io/v1/` and `docker.io` are the same place. */
function placeOf(registry: string): { host: string; path: string } {
  const plain = registry.replace(/^https?:\/\//, "").replace(/\/(v1|v2)\/?$/, "");
  const slash = plain.indexOf("/");
  const host = slash < 0 ? plain : plain.slice(0, slash);
  return { host: plainHost(host), path: slash < 0 ? "" : plain.slice(slash + 1).replace(/\/+$/, "") };
}

/** `*.example.org` stands for one more part; the port has to be the same. */
function hostMatches(pattern: string, host: string): boolean {
  const [patternName = "", patternPort] = pattern.split(":");
  const [hostName = "", hostPort] = host.split(":");
  if (patternPort !== hostPort) return false;
  const parts = hostName.split(".");
  const patterns = patternName.split(".");
  return parts.length === patterns.length && patterns.every((part, i) => globMatches(part, parts[i] ?? ""));
}

function globMatches(pattern: string, text: string): boolean {
  const [start = "", ...rest] = pattern.split("*");
  if (rest.length === 0) return pattern === text;
  const end = rest.pop() ?? "";
  if (text.length < start.length + end.length || !text.startsWith(start) || !text.endsWith(end)) return false;
  let at = start.length;
  for (const piece of rest) {
    const found = text.indexOf(piece, at);
    if (found < 0 || found + piece.length > text.length - end.length) return false;
    at = found + piece.length;
  }
  return true;
}

function loginOf(entry: AuthEntry): { username: string; password: string } | undefined {
  const { username, password, auth } = entry;
  if (typeof username === "string" && typeof password === "string") return { username, password };
  if (typeof auth !== "string") return undefined;
  const [, name, secret] = /^([^:]*):([\s\S]*)$/.exec(Buffer.from(auth, "base64").toString()) ?? [];
  return name === undefined || secret === undefined
    ? undefined
    : { username: name, password: secret.replace(/\0+$/, "") };
}

function readJSON(base64: string | undefined): Record<string, unknown> | undefined {
  if (base64 === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(Buffer.from(base64, "base64").toString());
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
