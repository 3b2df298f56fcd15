import { connect } from "node:http2";
import { onAbort } from "../../kube/abort.ts";
import { dialError, failure, hostPort, type ProbeOutcome, success } from "./outcome.ts";

/** Of HealthCheckResponse in grpc.health.v1. */
const serving = 1;
const statusNames = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];
const unimplemented = 12;
/** An answer is five bytes and a status; more than this is none. */
const longestAnswer = 64 * 1024;

interface Answer {
  /** `grpc-status`; undefined where the server sent none. */
  code: number | undefined;
  message: string;
  body: Buffer;
}

/** Asks the health service, without TLS as the kubelet does. */
export async function probeGrpc(
  target: { host: string; port: number; service: string; agent: string },
  signal: AbortSignal,
): Promise<ProbeOutcome> {
  const address = hostPort(target.host, target.port);
  let connected = false;
  let answer: Answer;
  try {
    answer = await check(target, signal, () => {
      connected = true;
    });
  } catch (error) {
    if (!connected) {
      return signal.aborted
        ? failure(
            `timeout: failed to connect service ${JSON.stringify(address)} within its timeout: context deadline exceeded`,
          )
        : failure(
            `error: failed to connect service at ${JSON.stringify(address)}: ${dialError(target.host, target.port, error)}`,
          );
    }
    if (signal.aborted) return failure("timeout: health rpc did not complete within its timeout");
    return failure(`error: health rpc probe failed: ${(error as Error).message}`);
  }
  const { code, message, body } = answer;
  if (code === unimplemented) {
    return failure(
      `error: this server does not implement the grpc health protocol (grpc.health.v1.Health): ${message}`,
    );
  }
  if (code !== 0)
    return failure(`error: health rpc probe failed: rpc error: code = ${code ?? "none"} desc = ${message}`);
  const status = healthStatus(body);
  if (status === serving) return success;
  return failure(`service unhealthy (responded with ${JSON.stringify(statusNames[status] ?? String(status))})`);
}

function check(
  { host, port, service, agent }: { host: string; port: number; service: string; agent: string },
  signal: AbortSignal,
  onConnect: () => void,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const session = connect(`http://${hostPort(host, port)}`);
    const finish = (settle: () => void) => {
      forget();
      session.destroy();
      settle();
    };
    const forget = onAbort(signal, () => finish(() => reject(signal.reason)));
    session.once("connect", onConnect);
    session.on("error", (error) => finish(() => reject(error)));
    const stream = session.request({
      ":method": "POST",
      ":path": "/grpc.health.v1.Health/Check",
      "content-type": "application/grpc",
      te: "trailers",
      "user-agent": agent,
    });
    const answer: Answer = { code: undefined, message: "", body: Buffer.alloc(0) };
    const take = (headers: Record<string, string | string[] | undefined>) => {
      if (headers["grpc-status"] === undefined) return;
      answer.code = Number(headers["grpc-status"]);
      answer.message = decodeMessage(String(headers["grpc-message"] ?? ""));
    };
    stream.on("response", (headers) => {
      take(headers as Record<string, string>);
      const status = headers[":status"];
      if (status !== 200 && answer.code === undefined) answer.message = `unexpected HTTP status code ${status}`;
    });
    stream.on("trailers", (headers) => take(headers as Record<string, string>));
    stream.on("data", (chunk: Buffer) => {
      answer.body = Buffer.concat([answer.body, chunk]);
      if (answer.body.length > longestAnswer) finish(() => reject(new Error("the answer is too long")));
    });
    stream.on("error", (error) => finish(() => reject(error.cause ?? error)));
    stream.on("close", () => finish(() => resolve(answer)));
    stream.end(encodeRequest(service));
  });
}

/** A gRPC message that holds a HealthCheckRequest: `service` is its field 1. */
export function encodeRequest(service: string): Buffer {
  const text = Buffer.from(service);
  const message = text.length === 0 ? text : Buffer.concat([Buffer.from([0x0a, ...varint(text.length)]), text]);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)];
}

/** The status in a gRPC message that holds a HealthCheckResponse: its field 1, and 0 where it is absent. */
export function healthStatus(body: Buffer): number {
  let at = 5;
  const read = (): number => {
    let value = 0;
    for (let shift = 0; at < body.length; shift += 7) {
      const byte = body[at++]!;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) break;
    }
    return value;
  };
  let status = 0;
  while (at < body.length) {
    const key = read();
    if (key === 0x08) status = read();
    else if (key % 8 === 0) read();
    else if (key % 8 === 1) at += 8;
    else if (key % 8 === 5) at += 4;
    else {
      const length = read();
      at += length;
    }
  }
  return status;
}

/** `grpc-message` is percent-encoded. */
function decodeMessage(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
