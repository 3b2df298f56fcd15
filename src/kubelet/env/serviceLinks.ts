import type { ServiceAddress } from "../../kube/objectSource.ts";

/**
 * The variables by which a pod finds the Services of its namespace, in both of Kubernetes' forms (`REDIS_SERVICE_HOST`,
 * `REDIS_PORT_6379_TCP_ADDR`). Addresses are the Services' own: whether they can be reached from this host is the site's affair.
 */
export function serviceVariables(services: readonly ServiceAddress[]): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const { name, clusterIP, ports } of services) {
    const [first] = ports;
    if (!first || !clusterIP || clusterIP === "None") continue;
    const prefix = asVariable(name);
    variables[`${prefix}_SERVICE_HOST`] = clusterIP;
    variables[`${prefix}_SERVICE_PORT`] = String(first.port);
    for (const port of ports) {
      if (port.name) variables[`${prefix}_SERVICE_PORT_${asVariable(port.name)}`] = String(port.port);
    }
    const host = clusterIP.includes(":") ? `[${clusterIP}]` : clusterIP;
    const url = (port: { protocol: string; port: number }) => `${port.protocol.toLowerCase()}://${host}:${port.port}`;
    variables[`${prefix}_PORT`] = url(first);
    for (const port of ports) {
      const link = `${prefix}_PORT_${port.port}_${port.protocol}`;
      variables[link] = url(port);
      variables[`${link}_PROTO`] = port.protocol.toLowerCase();
      variables[`${link}_PORT`] = String(port.port);
      variables[`${link}_ADDR`] = clusterIP;
    }
  }
  return variables;
}

/**
 * The Service `kubernetes` as a pod on this host needs it: at the address by which the node reaches the API server, as a
 * cluster's own address leads nowhere without kube-proxy.
 */
export function apiServerService(server: string): ServiceAddress {
  const { hostname, port, protocol } = new URL(server);
  const number = Number(port) || (protocol === "http:" ? 80 : 443);
  return {
    name: "kubernetes",
    clusterIP: hostname.replace(/^\[|\]$/g, ""),
    ports: [{ name: "https", protocol: "TCP", port: number }],
  };
}

function asVariable(name: string): string {
  return name.toUpperCase().replaceAll("-", "_");
}
