import type { TLSSocket } from "node:tls";
import type { User } from "../route.ts";

interface Known {
  user: User | undefined;
  /** End of the certificate, ms since the epoch. */
  until: number;
}

const known = new WeakMap<TLSSocket, Known>();

/**
 * Whom the client certificate names: CN is the user, each O a group. Undefined without one, or with one that the CA did not sign
 * for clients, or that has run out meanwhile (a connection may live longer than its certificate).
 */
export function certificateUser(socket: TLSSocket, now: number): User | undefined {
  let found = known.get(socket);
  if (!found) {
    found = read(socket);
    known.set(socket, found);
  }
  return now < found.until ? found.user : undefined;
}

function read(socket: TLSSocket): Known {
  if (!socket.authorized) return { user: undefined, until: 0 };
  const { subject, valid_to } = socket.getPeerCertificate();
  const [username] = [subject?.CN ?? []].flat();
  const groups = [subject?.O ?? []].flat();
  const user = username ? { username, groups: [...groups, "system:authenticated"] } : undefined;
  return { user, until: Date.parse(valid_to) };
}
