import { readFileSync } from "node:fs";
import { HostletError } from "../../errors.ts";
import type { RetrievedPodData } from "../../providers/interlink/wire/types.ts";
import { HttpError } from "../http/exchange.ts";
import type { ApiConfig } from "./config.ts";
import { parseTemplate } from "./goTemplate.ts";

/** The job script of a pod, where somebody makes one. @throws {HttpError} */
export type JobScripts = (data: RetrievedPodData, url: string, signal: AbortSignal) => Promise<string | undefined>;

const builderMs = 60_000;
const largestScript = 1 << 20;

/** From the builder that the node names (with JobScriptBuildConfig), or from a template. @throws {HostletError} ConfigInvalid */
export function jobScripts({
  jobScriptBuildConfig,
  jobScriptTemplate,
}: Pick<ApiConfig, "jobScriptBuildConfig" | "jobScriptTemplate">): JobScripts {
  const template = jobScriptTemplate === undefined ? undefined : load(jobScriptTemplate);
  return async (data, url, signal) => {
    if (url !== "") {
      if (!jobScriptBuildConfig)
        throw new HttpError(400, "a jobscriptURL needs JobScriptBuildConfig in the API server's configuration");
      return build(data, url, signal);
    }
    if (!template) return undefined;
    try {
      return template(data);
    } catch (cause) {
      throw new HttpError(500, `the job script template can't be filled in: ${(cause as Error).message}`, { cause });
    }
  };
}

function load(file: string): (data: unknown) => string {
  try {
    return parseTemplate(readFileSync(file, "utf8"));
  } catch (cause) {
    throw new HostletError("ConfigInvalid", `JobScriptTemplate: ${file}: ${(cause as Error).message}`, { cause });
  }
}

async function build(data: RetrievedPodData, url: string, signal: AbortSignal): Promise<string> {
  if (!/^https?:\/\//.test(url))
    throw new HttpError(400, `invalid jobscriptURL ${JSON.stringify(url.slice(0, 80))}: must be http:// or https://`);
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(builderMs)]);
  try {
    const body = JSON.stringify(data);
    const answer = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body,
      signal: deadline,
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    if (text.length > largestScript) throw new Error(`a script of more than ${largestScript} bytes`);
    return text;
  } catch (cause) {
    throw new HttpError(502, `the job script's builder: ${(cause as Error).message}`, { cause });
  }
}
