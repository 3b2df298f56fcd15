import { randomInt } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { Pod } from "../../kube/types.ts";
import type { Eviction } from "../../kubelet/eviction.ts";
import type { PodStats } from "../contract.ts";
import { type EndpointOptions, parseEndpoint } from "./endpoint.ts";
import { type Answer, AnswerError, HopClient } from "./http.ts";
import { decodeCreateReply, decodePing, decodeStatuses, parseJson, WireError } from "./wire/decode.ts";
import { extensionPaths } from "./wire/extension.ts";
import type { CreateStruct, LogStruct, PingResponse, PodCreateRequests, WirePodStatus } from "./wire/types.ts";

/** Deadlines, ms. A create may wait for a batch system, a delete for a grace period. */
const timeouts = { ping: 15_000, create: 120_000, status: 60_000, logs: 120_000, stream: 30_000 };

/** The calls of interLink's virtual kubelet, and those that only an end of ours answers. */
export class InterlinkClient {
  readonly #http: HopClient;

  /** @throws {HostletError} ConfigInvalid */
  constructor(endpoint: EndpointOptions) {
    this.#http = new HopClient(parseEndpoint(endpoint, "interlinkUrl"));
  }

  get url(): string {
    return this.#http.endpoint.url;
  }

  /** @throws {UnreachableError} @throws {AnswerError} */
  async ping(signal: AbortSignal): Promise<PingResponse> {
    const call = { method: "POST", path: "/pinglink", headers: session("PingInterLink"), signal };
    const answer = await this.#http.ok({ ...call, timeoutMs: timeouts.ping });
    const { hostlet, ...reply } = decodePing(answer.body);
    return answer.ours && hostlet ? { ...reply, hostlet } : reply;
  }

  /** @throws {UnreachableError} @throws {AnswerError} @throws {WireError} */
  async create(request: PodCreateRequests, signal: AbortSignal): Promise<CreateStruct> {
    const answer = await this.#ask("POST", "/create", "CreatePod", request, signal, timeouts.create);
    return decodeCreateReply(parseJson(answer.body));
  }

  /** @returns the pod's last status, where the far end tells. @throws {UnreachableError} @throws {AnswerError} */
  async delete(pod: Pod, signal: AbortSignal, timeoutMs: number): Promise<WirePodStatus | undefined> {
    const answer = await this.#ask("DELETE", "/delete", "DeletePod", pod, signal, timeoutMs);
    if (!answer.ours) return undefined;
    try {
      return believed(answer, decodeStatuses(parseJson(answer.body)))[0];
    } catch (error) {
      if (error instanceof WireError) return undefined;
      throw error;
    }
  }

  /** @throws {UnreachableError} @throws {AnswerError} @throws {WireError} */
  async status(pods: Pod[], signal: AbortSignal): Promise<WirePodStatus[]> {
    const answer = await this.#ask("GET", "/status", "GetStatus", pods, signal, timeouts.status);
    return believed(answer, decodeStatuses(answer.body.trim() === "" ? null : parseJson(answer.body)));
  }

  /** @throws {UnreachableError} @throws {AnswerError} */
  logs(request: LogStruct, signal: AbortSignal): Promise<IncomingMessage> {
    const body = JSON.stringify(request);
    const call = { method: "GET", path: "/getLogs", headers: session("GetLogs"), body, signal };
    return this.#http.open({ ...call, timeoutMs: timeouts.logs });
  }

  /** @throws {UnreachableError} @throws {AnswerError} */
  stream(path: string, signal: AbortSignal): Promise<Duplex> {
    return this.#http.upgrade(path, signal, timeouts.stream);
  }

  /** @throws {UnreachableError} @throws {AnswerError} @throws {WireError} */
  async stats(signal: AbortSignal): Promise<PodStats[]> {
    const answer = await this.#ask("GET", extensionPaths.stats, "GetStats", [], signal, timeouts.status);
    const stats = parseJson(answer.body);
    if (!answer.ours || !Array.isArray(stats)) throw new WireError("stats: no list of an end of ours");
    return stats as PodStats[];
  }

  /** @throws {UnreachableError} @throws {AnswerError} */
  async evict(pod: Pod, eviction: Eviction, signal: AbortSignal): Promise<void> {
    const answer = await this.#ask("POST", extensionPaths.evict, "Evict", { pod, eviction }, signal, timeouts.status);
    if (!answer.ours) throw new AnswerError(404, "not an end of ours");
  }

  /** Tells the far end that the pod's object changed. @throws {UnreachableError} @throws {AnswerError} */
  async update(request: PodCreateRequests, signal: AbortSignal): Promise<void> {
    await this.#ask("POST", extensionPaths.update, "Update", request, signal, timeouts.status);
  }

  close(): void {
    this.#http.close();
  }

  #ask(method: string, path: string, op: string, body: unknown, signal: AbortSignal, timeoutMs: number) {
    const call = { method, path, headers: session(op), body: JSON.stringify(body), signal, timeoutMs };
    return this.#http.ok(call);
  }
}

function session(op: string): Record<string, string> {
  return { "interlink-http-session": `${op}#${randomInt(100_000)}` };
}

/** What somebody else's API server hands on of an extension is not this hop's. */
function believed(answer: Answer, statuses: WirePodStatus[]): WirePodStatus[] {
  if (answer.ours) return statuses;
  return statuses.map(({ hostlet: _, ...status }) => status);
}
