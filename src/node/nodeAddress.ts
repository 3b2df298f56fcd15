import { createSocket } from "node:dgram";
import { once } from "node:events";
import { networkInterfaces } from "node:os";

/**
 * The address that this host has towards the API server: what a connection to it would come from. Nothing is sent (a
 * UDP socket that is connected only asks the routing table).
 */
export async function nodeAddress(server: string): Promise<string> {
  const { hostname, port } = new URL(server);
  const host = hostname.replace(/^\[|\]$/g, "");
  const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
  try {
    const connected = once(socket, "connect");
    socket.connect(Number(port) || 443, host);
    await connected;
    return socket.address().address;
  } catch {
    const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
    return addresses.find((a) => !a.internal && a.family === "IPv4")?.address ?? "127.0.0.1";
  } finally {
    socket.close();
  }
}
