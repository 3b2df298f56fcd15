import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { type RequestOptions, request } from "node:https";

export interface KubeletAnswer {
  status: number;
  contentType: string;
  text: string;
}

/** Asks a kubelet API on loopback, over a connection of its own. */
export async function askKubelet(port: number, path: string, options: RequestOptions = {}): Promise<KubeletAnswer> {
  const asked = request({
    host: "127.0.0.1",
    port,
    path,
    agent: false,
    signal: AbortSignal.timeout(20_000),
    ...options,
  });
  asked.end();
  const [response] = (await once(asked, "response")) as [IncomingMessage];
  let text = "";
  for await (const chunk of response) text += chunk;
  return { status: response.statusCode ?? 0, contentType: response.headers["content-type"] ?? "", text };
}

/** The samples of a page in Prometheus' text format, by name and labels as they stand there. */
export function samplesOf(page: string): Map<string, number> {
  const samples = new Map<string, number>();
  for (const line of page.split("\n")) {
    const [, series, value] = /^([a-zA-Z_:][\w:]*(?:\{.*\})?) (\S+)(?: -?\d+)?$/.exec(line) ?? [];
    if (series !== undefined) samples.set(series, Number(value));
    else if (line !== "" && !line.startsWith("# ")) throw new Error(`no line of Prometheus' text format: ${line}`);
  }
  return samples;
}
