import { expect, test } from "vitest";
import { apiServerService, serviceVariables } from "./serviceLinks.ts";

test("a Service is found by its name, its ports and Docker's old links, as Kubernetes documents them", () => {
  const ports = [
    { name: "p", protocol: "TCP", port: 6379 },
    { name: "", protocol: "UDP", port: 53 },
  ];
  expect(serviceVariables([{ name: "redis-primary", clusterIP: "10.0.0.11", ports }])).toEqual({
    REDIS_PRIMARY_SERVICE_HOST: "10.0.0.11",
    REDIS_PRIMARY_SERVICE_PORT: "6379",
    REDIS_PRIMARY_SERVICE_PORT_P: "6379",
    REDIS_PRIMARY_PORT: "tcp://10.0.0.11:6379",
    REDIS_PRIMARY_PORT_6379_TCP: "tcp://10.0.0.11:6379",
    REDIS_PRIMARY_PORT_6379_TCP_PROTO: "tcp",
    REDIS_PRIMARY_PORT_6379_TCP_PORT: "6379",
    REDIS_PRIMARY_PORT_6379_TCP_ADDR: "10.0.0.11",
    REDIS_PRIMARY_PORT_53_UDP: "udp://10.0.0.11:53",
    REDIS_PRIMARY_PORT_53_UDP_PROTO: "udp",
    REDIS_PRIMARY_PORT_53_UDP_PORT: "53",
    REDIS_PRIMARY_PORT_53_UDP_ADDR: "10.0.0.11",
  });
});

test("a Service without an address or a port has no variables", () => {
  const port = { name: "", protocol: "TCP", port: 1 };
  expect(serviceVariables([{ name: "headless", clusterIP: "None", ports: [port] }])).toEqual({});
  expect(serviceVariables([{ name: "external", clusterIP: "", ports: [port] }])).toEqual({});
  expect(serviceVariables([{ name: "empty", clusterIP: "10.0.0.1", ports: [] }])).toEqual({});
});

test.each([
  ["https://api.example.org", "api.example.org", "443"],
  ["https://127.0.0.1:6443", "127.0.0.1", "6443"],
  ["https://[::1]:6443", "::1", "6443"],
])("the API server at %s is where the node reaches it", (server, host, port) => {
  expect(serviceVariables([apiServerService(server)])).toMatchObject({
    KUBERNETES_SERVICE_HOST: host,
    KUBERNETES_SERVICE_PORT: port,
    KUBERNETES_SERVICE_PORT_HTTPS: port,
  });
});
