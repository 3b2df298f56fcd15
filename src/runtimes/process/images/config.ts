import type { RuntimeImage } from "../../images.ts";

/** What an image's configuration says of how it is run; the names are Docker's, and OCI's. */
export type ImageSettings = Pick<RuntimeImage, "entrypoint" | "command" | "env" | "workingDir" | "user">;

export interface ImageConfig {
  settings: ImageSettings;
  /** Of the unpacked layers, in their order. */
  diffIDs: string[];
}

/** @throws {Error} where it is no image's configuration */
export function parseImageConfig(text: string): ImageConfig {
  const value: unknown = JSON.parse(text);
  if (!isObject(value)) throw new Error("the image's configuration is no object");
  const config = isObject(value.config) ? value.config : {};
  const rootfs = isObject(value.rootfs) ? value.rootfs : {};
  const entrypoint = strings(config.Entrypoint);
  const command = strings(config.Cmd);
  const env = Object.fromEntries(
    (strings(config.Env) ?? []).flatMap((pair) => {
      const at = pair.indexOf("=");
      return at > 0 ? [[pair.slice(0, at), pair.slice(at + 1)]] : [];
    }),
  );
  const { WorkingDir: workingDir, User: user } = config;
  return {
    settings: {
      ...(entrypoint && { entrypoint }),
      ...(command && { command }),
      ...(Object.keys(env).length > 0 && { env }),
      ...(typeof workingDir === "string" && workingDir !== "" && { workingDir }),
      ...(typeof user === "string" && user !== "" && { user }),
    },
    diffIDs: strings(rootfs.diff_ids) ?? [],
  };
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function strings(value: unknown): string[] | undefined {
  return Array.isArray(value) && value.every((one) => typeof one === "string") ? (value as string[]) : undefined;
}
