import type { IncomingMessage } from "node:http";
import type { Exchange } from "../http/exchange.ts";
import {
  badRequest,
  type FieldError,
  forbiddenField,
  invalid,
  invalidObject,
  notSupported,
  StatusError,
} from "../status.ts";
import type { Api, KubeletAccess } from "./api.ts";
import { chosenContainer, findPod, kubeletAddress, kubeletRequest, unreachable } from "./kubelet.ts";

/** What a kubelet's failure may say at most. */
const errorTextLimit = 50_000;

/** GET .../log: the node's kubelet API has it; this streams it through. @throws {StatusError} */
export async function streamLogs(api: Api, namespace: string, name: string, exchange: Exchange): Promise<void> {
  const query = logQuery(exchange.query, name);
  const pod = findPod(api, namespace, name);
  const container = chosenContainer(pod, name, exchange.query.get("container") ?? "");
  // On no node there is no log yet: an empty one, as kube-apiserver has it.
  if (!pod.spec?.nodeName) return exchange.send(200, "", "text/plain");
  const base = kubeletAddress(api, pod.spec.nodeName);
  const url = new URL(`/containerLogs/${namespace}/${name}/${container}?${query}`, base);
  const response = await get(url, api.kubelet, exchange.signal);
  if (response.statusCode !== 200) throw await kubeletFailure(response, name);
  exchange.start("text/plain");
  for await (const chunk of response as AsyncIterable<Buffer>) {
    if (!exchange.write(chunk)) await exchange.drained();
    if (exchange.signal.aborted) break;
  }
  exchange.end();
}

function get(url: URL, access: KubeletAccess, signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const outgoing = kubeletRequest(url, access, { signal });
    outgoing.on("response", resolve);
    outgoing.on("error", (error) => reject(unreachable(url, error)));
    outgoing.end();
  });
}

async function kubeletFailure(response: IncomingMessage, name: string): Promise<StatusError> {
  let text = "";
  for await (const chunk of response.setEncoding("utf8") as AsyncIterable<string>) {
    text += chunk;
    if (text.length >= errorTextLimit) break;
  }
  const message = text.slice(0, errorTextLimit).trim();
  const code = response.statusCode ?? 500;
  if (code === 400) return badRequest(message);
  if (code === 404) {
    const details = { name, kind: "pods/log" };
    return new StatusError(
      404,
      "NotFound",
      `the server could not find the requested resource (get pods ${name}): ${message}`,
      details,
    );
  }
  return new StatusError(
    code >= 500 ? code : 500,
    "InternalError",
    `an error on the server (${JSON.stringify(message)}) has prevented the request from succeeding (get pods/log ${name})`,
  );
}

const streams = ["All", "Stderr", "Stdout"];

/** PodLogOptions, checked, as the kubelet is asked (ValidatePodLogOptions). */
function logQuery(query: URLSearchParams, name: string): URLSearchParams {
  const result = new URLSearchParams();
  const errors: FieldError[] = [];
  for (const flag of ["follow", "previous", "timestamps"]) {
    const text = query.get(flag);
    if (text !== null && !["false", "0"].includes(text)) result.set(flag, "true");
  }
  const limits = [
    ["tailLines", 0, "must be greater than or equal to 0"],
    ["limitBytes", 1, "must be greater than 0"],
    ["sinceSeconds", 1, "must be greater than 0"],
  ] as const;
  for (const [field, least, problem] of limits) {
    const text = query.get(field);
    if (text === null || text === "") continue;
    if (!/^-?[0-9]+$/.test(text)) throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
    if (Number(text) < least) errors.push(invalid(field, Number(text), problem));
    result.set(field, text);
  }
  const since = query.get("sinceTime");
  if (since) {
    if (Number.isNaN(Date.parse(since))) throw badRequest(`parsing time ${JSON.stringify(since)}: it is not RFC 3339`);
    if (result.has("sinceSeconds")) {
      errors.push(forbiddenField("", "at most one of `sinceTime` or `sinceSeconds` may be specified"));
    }
    result.set("sinceTime", since);
  }
  const stream = query.get("stream") || "All";
  if (!streams.includes(stream)) errors.push(notSupported("stream", stream, streams));
  if (stream !== "All" && result.has("tailLines")) {
    errors.push(forbiddenField("", "`tailLines` and specific `stream` are mutually exclusive for now"));
  }
  result.set("stream", stream);
  if (errors.length > 0)
    throw invalidObject({ group: "", plural: "podlogoptions", kind: "PodLogOptions" }, name, errors);
  return result;
}
