import type { Exchange } from "../http/exchange.ts";
import { decodeProtobuf } from "../protobuf/decode.ts";
import { badRequest, unsupportedMediaType } from "../status.ts";

const protobufType = "application/vnd.kubernetes.protobuf";
const bodyTypes = ["application/json", protobufType];

export function mediaType(exchange: Exchange): string {
  return (exchange.headers["content-type"] ?? "application/json").split(";")[0]?.trim().toLowerCase() ?? "";
}

/** The body as JSON has it, whichever way it was sent. @throws {StatusError} 400, 413, 415 */
export async function readBody(exchange: Exchange, accepted = bodyTypes): Promise<unknown> {
  const type = mediaType(exchange);
  if (!accepted.includes(type)) throw unsupportedMediaType(accepted);
  return decoded(await exchange.body(), type);
}

/** The same where a body may be missing and its type is taken as it comes. @throws {StatusError} 400, 413 */
export async function readOptionalBody(exchange: Exchange): Promise<unknown> {
  const bytes = await exchange.body();
  return bytes.length === 0 ? {} : decoded(bytes, mediaType(exchange));
}

function decoded(bytes: Buffer, type: string): unknown {
  const protobuf = type === protobufType;
  try {
    return protobuf ? decodeProtobuf(bytes) : JSON.parse(bytes.toString("utf8"));
  } catch (error) {
    const format = protobuf ? "protobuf" : "JSON";
    throw badRequest(`the request's body is not ${format}: ${error instanceof Error ? error.message : error}`);
  }
}
