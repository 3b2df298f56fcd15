import { createHash, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { HttpError } from "./exchange.ts";
import type { Authenticate } from "./server.ts";

/** The bearer token of a request. @throws {HttpError} 401 */
export function bearerOf(request: IncomingMessage): string {
  const token = /^Bearer +(\S+)\s*$/i.exec(request.headers.authorization ?? "")?.[1];
  if (token === undefined) throw new HttpError(401, "Unauthorized: send a bearer token");
  return token;
}

/** Lets in who knows the token in a file. It is read again for each request, so that it can be renewed. */
export function tokenFileAuth(file: string): Authenticate {
  return async (request) => {
    const given = bearerOf(request);
    let expected: string;
    try {
      expected = readFileSync(file, "utf8").trim();
    } catch (cause) {
      throw new HttpError(500, "the server can't read its token", { cause });
    }
    // An empty file is no token that anybody could know.
    if (expected === "" || !timingSafeEqual(digest(given), digest(expected))) {
      throw new HttpError(401, "Unauthorized: another token is expected");
    }
  };
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
