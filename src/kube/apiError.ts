import type { Status, StatusDetails } from "./types.ts";

/** Which request failed. The query is left out: a continue token says nothing to a reader. */
export interface RequestName {
  method: string;
  path: string;
}

/** The API server (or something in its place) answered, and the answer is not success. */
export class ApiError extends Error {
  /** The HTTP status code. */
  readonly code: number;
  /** `reason` of the Status body: NotFound, Conflict, Expired, ...; `InvalidResponse` where the body was not what was asked for. */
  readonly reason: string;
  readonly details: StatusDetails | undefined;
  /** What the server asks to wait before the next try, from the Retry-After header or the Status. */
  readonly retryAfterSeconds: number | undefined;
  readonly method: string;
  readonly path: string;

  constructor(
    request: RequestName,
    answer: { code: number; reason: string; message: string; details?: StatusDetails; retryAfterSeconds?: number },
  ) {
    super(`${request.method} ${request.path}: ${answer.code} ${answer.reason}: ${answer.message}`);
    this.name = "ApiError";
    this.code = answer.code;
    this.reason = answer.reason;
    this.details = answer.details;
    this.retryAfterSeconds = answer.retryAfterSeconds;
    this.method = request.method;
    this.path = request.path;
  }
}

/** No whole answer came: refused, reset, timed out, not trusted, cut in the middle. */
export class NetworkError extends Error {
  /** Node's (ECONNREFUSED, ECONNRESET, CERT_HAS_EXPIRED, ...), or TIMEOUT, TRUNCATED, CLOSED (by `close()`). */
  readonly code: string;
  readonly method: string;
  readonly path: string;

  constructor(request: RequestName, server: string, code: string, message: string, cause?: unknown) {
    super(`${request.method} ${request.path} at ${server}: ${message}`, cause === undefined ? undefined : { cause });
    this.name = "NetworkError";
    this.code = code;
    this.method = request.method;
    this.path = request.path;
  }
}

/** As much of a foreign answer as is put into a message. */
const excerptLength = 200;

function isStatus(body: unknown): body is Status {
  return typeof body === "object" && body !== null && "kind" in body && body.kind === "Status";
}

function parseStatus(body: string): Status | undefined {
  if (!body.startsWith("{")) return undefined;
  try {
    const parsed: unknown = JSON.parse(body);
    return isStatus(parsed) ? parsed : undefined;
  } catch {
    return undefined;
  }
}

/** RFC 9110 10.2.3; Kubernetes sends whole seconds only, so a date is not read. */
function parseRetryAfter(header: string | undefined): number | undefined {
  return header !== undefined && /^\d{1,6}$/.test(header) ? Number(header) : undefined;
}

function excerpt(body: string): string {
  const text = body.replace(/\s+/g, " ").trim();
  return text.length > excerptLength ? `${text.slice(0, excerptLength)}...` : text;
}

export interface Answer {
  code: number;
  contentType: string | undefined;
  retryAfter: string | undefined;
  body: string;
}

/** The error for an answer with a status code of failure, or with a body that is not what was asked for. */
export function toApiError(request: RequestName, answer: Answer): ApiError {
  const status = parseStatus(answer.body);
  if (status) return statusToError(request, status, answer.code, parseRetryAfter(answer.retryAfter));
  const what = answer.contentType ?? "no content type";
  return new ApiError(request, {
    code: answer.code,
    reason: "InvalidResponse",
    message: `the answer is no Kubernetes object (${what}): ${excerpt(answer.body) || "empty"}`,
    ...withRetryAfter(parseRetryAfter(answer.retryAfter)),
  });
}

/** The error that a Status object tells of, whether it came as an answer or as a watch's ERROR event. */
export function statusToError(request: RequestName, status: Status, code?: number, retryAfter?: number): ApiError {
  const inBody = status.details?.retryAfterSeconds;
  return new ApiError(request, {
    code: code ?? status.code ?? 500,
    reason: status.reason || "Unknown",
    message: status.message ?? "",
    ...(status.details ? { details: status.details } : {}),
    ...withRetryAfter(retryAfter ?? (inBody ? inBody : undefined)),
  });
}

function withRetryAfter(seconds: number | undefined): { retryAfterSeconds?: number } {
  return seconds === undefined ? {} : { retryAfterSeconds: seconds };
}

export function isNotFound(error: unknown): error is ApiError {
  return error instanceof ApiError && error.code === 404;
}
/** Also the answer to a precondition that does not hold, and to a create of a name that exists (see `isAlreadyExists`). */
export function isConflict(error: unknown): error is ApiError {
  return error instanceof ApiError && error.code === 409;
}
export function isAlreadyExists(error: unknown): error is ApiError {
  return isConflict(error) && error.reason === "AlreadyExists";
}
/** The resourceVersion or continue token is too old: list again. */
export function isGone(error: unknown): error is ApiError {
  return error instanceof ApiError && error.code === 410;
}
export function isForbidden(error: unknown): error is ApiError {
  return error instanceof ApiError && error.code === 403;
}

/** Waiting does not mend these (Node's codes for certificates that are not trusted, and our own end); everything else that breaks a connection can pass. */
const lasting = /^(CLOSED|CERT_|ERR_TLS_CERT|ERR_SSL|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_(GET|VERIFY)|ERR_INVALID)/;

/** Whether the same request may succeed later: 408, 429, 5xx but 501 and 505, resets, refusals, timeouts. */
export function isRetryable(error: unknown): boolean {
  if (error instanceof ApiError) {
    const { code } = error;
    return code === 408 || code === 429 || (code >= 500 && code !== 501 && code !== 505);
  }
  return error instanceof NetworkError && !lasting.test(error.code);
}
