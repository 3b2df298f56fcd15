import { readFileSync } from "node:fs";
import * as v from "valibot";
import { parse } from "yaml";
import { HostletError } from "../../errors.ts";

const text = v.optional(v.nullable(v.pipe(v.union([v.string(), v.number()], "text"), v.transform(String))));
const flag = v.optional(v.nullable(v.boolean("true or false")));

/** interLink's own file; what it has beyond this is of no use here, and no mistake. */
const schema = v.looseObject({
  InterlinkAddress: text,
  InterlinkPort: text,
  SidecarURL: text,
  SidecarPort: text,
  JobScriptBuildConfig: v.optional(v.nullable(v.looseObject({}, "keys and values"))),
  JobScriptTemplate: text,
  VerboseLogging: flag,
  ErrorsOnlyLogging: flag,
  TLS: v.optional(
    v.nullable(v.looseObject({ Enabled: flag, CertFile: text, KeyFile: text, CACertFile: text }, "keys and values")),
  ),
  /** hostlet's own; interLink's API server reads past it. */
  Hostlet: v.optional(
    v.nullable(
      v.strictObject(
        {
          TokenFile: text,
          StatusMaxAge: v.optional(v.pipe(v.number("seconds"), v.minValue(0, "seconds"))),
          SidecarTokenFile: text,
          SidecarCACertFile: text,
          SidecarCertFile: text,
          SidecarKeyFile: text,
          OIDC: v.optional(
            v.strictObject(
              {
                Issuer: v.pipe(v.string("the issuer's URL"), v.nonEmpty("the issuer's URL")),
                Audience: v.pipe(v.string("who tokens must be for"), v.nonEmpty("who tokens must be for")),
                JWKS: v.pipe(v.string("a URL or a file"), v.nonEmpty("a URL or a file")),
                Claims: v.optional(v.record(v.string(), v.string("a string"), "claims and their values")),
              },
              "Issuer, Audience, JWKS and, if need be, Claims",
            ),
          ),
        },
        "keys of hostlet's own",
      ),
    ),
  ),
});

export interface OidcConfig {
  issuer: string;
  audience: string;
  /** `https://` URL of a key set, or a file with one. */
  jwks: string;
  /** What a token must say beside: a claim's value, or one of its values where it is a list. */
  claims: Record<string, string>;
}

export interface ApiConfig {
  /** `unix:/path` or `host:port` */
  listen: string;
  tls?: { certFile: string; keyFile: string; caFile?: string };
  /** Undefined: a Provider in this process. */
  sidecar?: { url: string; tokenFile?: string; caFile?: string; certFile?: string; keyFile?: string };
  jobScriptBuildConfig?: Record<string, unknown>;
  /** A file. */
  jobScriptTemplate?: string;
  logLevel?: "debug" | "error";
  tokenFile?: string;
  oidc?: OidcConfig;
  statusMaxAgeMs: number;
}

export const defaultStatusMaxAgeMs = 30_000;

/**
 * interLink's `InterLinkConfig.yaml`, and over it its variables INTERLINKURL, INTERLINKPORT, SIDECARURL, SIDECARPORT.
 * @param file undefined: INTERLINKCONFIGPATH, else the variables alone
 * @throws {HostletError} ConfigInvalid
 */
export function loadApiConfig(file: string | undefined, env: NodeJS.ProcessEnv): ApiConfig {
  const path = file ?? (env.INTERLINKCONFIGPATH || undefined);
  const found = path === undefined ? {} : read(path);
  const { TLS, Hostlet } = found;
  const address = env.INTERLINKURL || found.InterlinkAddress || "http://127.0.0.1";
  const port = env.INTERLINKPORT || found.InterlinkPort || "3000";
  const sidecarUrl = env.SIDECARURL || found.SidecarURL || undefined;
  const sidecarPort = env.SIDECARPORT || found.SidecarPort || undefined;
  const tls = TLS?.Enabled
    ? { certFile: TLS.CertFile ?? "", keyFile: TLS.KeyFile ?? "", ...opt("caFile", TLS.CACertFile) }
    : undefined;
  if (tls && !(tls.certFile && tls.keyFile))
    throw invalid(`${path}: TLS`, "CertFile and KeyFile, where Enabled is true");
  const oidc = Hostlet?.OIDC;
  return {
    listen: withPort(address, port),
    ...(tls && { tls }),
    ...(sidecarUrl && {
      sidecar: {
        url: sidecarEndpoint(sidecarUrl, sidecarPort),
        ...opt("tokenFile", Hostlet?.SidecarTokenFile),
        ...opt("caFile", Hostlet?.SidecarCACertFile),
        ...opt("certFile", Hostlet?.SidecarCertFile),
        ...opt("keyFile", Hostlet?.SidecarKeyFile),
      },
    }),
    ...(found.JobScriptBuildConfig && { jobScriptBuildConfig: found.JobScriptBuildConfig }),
    ...opt("jobScriptTemplate", found.JobScriptTemplate),
    ...(found.VerboseLogging ? { logLevel: "debug" } : found.ErrorsOnlyLogging ? { logLevel: "error" } : {}),
    ...opt("tokenFile", Hostlet?.TokenFile),
    ...(oidc && { oidc: { issuer: oidc.Issuer, audience: oidc.Audience, jwks: oidc.JWKS, claims: oidc.Claims ?? {} } }),
    statusMaxAgeMs: Hostlet?.StatusMaxAge === undefined ? defaultStatusMaxAgeMs : Hostlet.StatusMaxAge * 1000,
  };
}

function read(path: string): v.InferOutput<typeof schema> {
  let document: unknown;
  try {
    document = parse(readFileSync(path, "utf8")) ?? {};
  } catch (cause) {
    throw new HostletError("ConfigInvalid", `${path}: ${(cause as Error).message.split("\n")[0]}`, { cause });
  }
  const result = v.safeParse(schema, document);
  if (result.success) return result.output;
  const issue = result.issues[0];
  throw invalid(`${path}: ${v.getDotPath(issue) ?? "the file"}`, issue.message);
}

/** `http://0.0.0.0` and `3000`; `unix:///path` has no port. */
function withPort(address: string, port: string): string {
  if (address.startsWith("unix:")) return address;
  const host = address.replace(/^https?:\/\//, "").replace(/\/$/, "");
  return /:\d+$/.test(host) ? host : `${host}:${port}`;
}

function sidecarEndpoint(url: string, port: string | undefined): string {
  if (url.startsWith("unix:") || port === undefined || /:\d+\/?$/.test(url)) return url;
  return `${url.replace(/\/$/, "")}:${port}`;
}

/** An empty text is none: interLink's example files have many. */
function opt<K extends string>(key: K, value: string | null | undefined): { [P in K]?: string } {
  return (value ? { [key]: value } : {}) as { [P in K]?: string };
}

function invalid(where: string, what: string): HostletError {
  return new HostletError("ConfigInvalid", `${where}: must be ${what}`);
}
