import { invalidName } from "./errors.ts";

/** What an image's name says, with Docker's defaults. */
export interface ImageName {
  /** Host and port of the registry. */
  host: string;
  /** `library/busybox` */
  repository: string;
  tag?: string;
  digest?: string;
}

const component = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*";
const hostPart = "(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)(?:\\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*";
const pattern = new RegExp(`^(${component}(?:/${component})*)(?::([\\w][\\w.-]{0,127}))?(?:@(sha256:[0-9a-f]{64}))?$`);

/**
 * `busybox` is `docker.io/library/busybox:latest`.
 * @throws {HostletError} reason InvalidImageName
 */
export function parseImageName(image: string): ImageName {
  const [host, rest] = splitHost(image);
  const [, repository, tag, digest] = pattern.exec(rest) ?? [];
  if (repository === undefined || repository.length > 255) {
    throw invalidName("invalid reference format: expected [registry/]name[:tag][@sha256:...], in lower case");
  }
  const docker = host === "docker.io";
  return {
    host,
    repository: docker && !repository.includes("/") ? `library/${repository}` : repository,
    ...(tag !== undefined && { tag }),
    ...(digest !== undefined && { digest }),
    ...(tag === undefined && digest === undefined && { tag: "latest" }),
  };
}

/** The first part is a host where it looks like one: `user/image` has none. */
function splitHost(image: string): [string, string] {
  const slash = image.indexOf("/");
  const first = slash < 0 ? "" : image.slice(0, slash);
  if (!/[.:]/.test(first) && first !== "localhost") return ["docker.io", image];
  if (!new RegExp(`^(?:${hostPart}|\\[[0-9a-fA-F:]+\\])(?::\\d+)?$`).test(first)) {
    throw invalidName(`invalid reference format: ${JSON.stringify(first)} is no registry`);
  }
  const host = first === "index.docker.io" || first === "registry-1.docker.io" ? "docker.io" : first;
  return [host, image.slice(slash + 1)];
}

/** The same for all ways to write a name. */
export function fullName({ host, repository, tag, digest }: ImageName): string {
  return `${host}/${repository}${tag === undefined ? "" : `:${tag}`}${digest === undefined ? "" : `@${digest}`}`;
}
