import { type IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { HostletError } from "../errors.ts";

export function answer(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { "content-type": "text/plain; charset=utf-8" }).end(text);
}

export function answerJson(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(value));
}

/** An ordinary answer to a request that asked for an upgrade, which ends its connection. */
export function responseOn(request: IncomingMessage, socket: Socket): ServerResponse {
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  response.assignSocket(socket);
  response.once("finish", () => {
    response.detachSocket(socket);
    socket.end();
  });
  return response;
}

/** The kubelet answers 400 to a container that has no log yet, and 404 to a pod that it does not have. */
export function statusOf(error: unknown): number {
  if (!(error instanceof HostletError)) return 500;
  if (error.code === "NotSupported") return 501;
  return error.code === "NotFound" && error.message.startsWith("pod ") ? 404 : 400;
}
