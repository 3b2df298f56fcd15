import type { ConfigMap, Event, Lease, Namespace, Node, Secret, Service, ServiceAccount } from "../../kube/types.ts";
import type { Stored } from "../objects.ts";
import { ageColumn, type Column, nameColumn, orNone } from "./column.ts";
import { age } from "./duration.ts";

function columnOf<T>() {
  return (
    name: string,
    cell: (object: T, now: number) => string | number,
    priority: 0 | 1 = 0,
    type: "string" | "integer" = "string",
  ): Column => ({ name, type, priority, cell: (object: Stored, now) => cell(object as unknown as T, now) });
}

function nodeStatus(node: Node): string {
  const ready = node.status?.conditions?.find((condition) => condition.type === "Ready");
  const status = ready ? (ready.status === "True" ? "Ready" : "NotReady") : "Unknown";
  return node.spec?.unschedulable ? `${status},SchedulingDisabled` : status;
}

const rolePrefix = "node-role.kubernetes.io/";

function nodeRoles(node: Node): string {
  const roles = new Set<string>();
  for (const [key, value] of Object.entries(node.metadata?.labels ?? {})) {
    if (key.startsWith(rolePrefix) && key.length > rolePrefix.length) roles.add(key.slice(rolePrefix.length));
    if (key === "kubernetes.io/role" && value !== "") roles.add(value);
  }
  return orNone([...roles].sort().join(","));
}

const address = (node: Node, type: string) =>
  orNone(node.status?.addresses?.find((candidate) => candidate.type === type)?.address);
const orUnknown = (text: string | undefined) => text || "<unknown>";

const node = columnOf<Node>();
export const nodeColumns: Column[] = [
  nameColumn,
  node("Status", nodeStatus),
  node("Roles", nodeRoles),
  ageColumn,
  node("Version", (n) => n.status?.nodeInfo?.kubeletVersion ?? ""),
  node("Internal-IP", (n) => address(n, "InternalIP"), 1),
  node("External-IP", (n) => address(n, "ExternalIP"), 1),
  node("OS-Image", (n) => orUnknown(n.status?.nodeInfo?.osImage), 1),
  node("Kernel-Version", (n) => orUnknown(n.status?.nodeInfo?.kernelVersion), 1),
  node("Container-Runtime", (n) => orUnknown(n.status?.nodeInfo?.containerRuntimeVersion), 1),
];

const firstSeen = (event: Event, now: number) => age(event.firstTimestamp || event.eventTime, now);

function lastSeen(event: Event, now: number): string {
  if (event.series) return age(event.series.lastObservedTime, now);
  return event.lastTimestamp ? age(event.lastTimestamp, now) : firstSeen(event, now);
}

function eventObject(event: Event): string {
  const { kind = "", name } = event.involvedObject;
  return name ? `${kind.toLowerCase()}/${name}` : kind.toLowerCase();
}

function eventSource(event: Event): string {
  const component = event.source?.component || event.reportingComponent || "";
  const instance = event.source?.host || event.reportingInstance || "";
  return instance === "" ? component : `${component}, ${instance}`;
}

const event = columnOf<Event>();
export const eventColumns: Column[] = [
  event("Last Seen", lastSeen),
  event("Type", (e) => e.type ?? ""),
  event("Reason", (e) => e.reason ?? ""),
  event("Object", eventObject),
  event("Subobject", (e) => e.involvedObject.fieldPath ?? "", 1),
  event("Source", eventSource, 1),
  event("Message", (e) => (e.message ?? "").trim()),
  event("First Seen", firstSeen, 1),
  event("Count", (e) => e.series?.count ?? (e.count || 1), 1),
  { ...nameColumn, priority: 1 },
];

const namespace = columnOf<Namespace>();
export const namespaceColumns: Column[] = [nameColumn, namespace("Status", (n) => n.status?.phase ?? ""), ageColumn];

const configMap = columnOf<ConfigMap>();
const entries = (data: object | undefined) => Object.keys(data ?? {}).length;
export const configMapColumns: Column[] = [
  nameColumn,
  configMap("Data", (c) => entries(c.data) + entries(c.binaryData)),
  ageColumn,
];

const secret = columnOf<Secret>();
export const secretColumns: Column[] = [
  nameColumn,
  secret("Type", (s) => s.type ?? ""),
  secret("Data", (s) => entries(s.data)),
  ageColumn,
];

const serviceAccount = columnOf<ServiceAccount>();
export const serviceAccountColumns: Column[] = [
  nameColumn,
  serviceAccount("Secrets", (s) => (s.secrets ?? []).length),
  ageColumn,
];

function servicePorts(service: Service): string {
  const ports = (service.spec?.ports ?? []).map((port) => {
    const node = port.nodePort ? `:${port.nodePort}` : "";
    return `${port.port}${node}/${port.protocol ?? "TCP"}`;
  });
  return orNone(ports.join(","));
}

function externalIps(service: Service): string {
  const { type, externalIPs = [], externalName } = service.spec ?? {};
  if (type === "ExternalName") return externalName ?? "";
  const balancer = (service.status?.loadBalancer?.ingress ?? []).map((item) => item.ip || item.hostname || "");
  const all = [...(type === "LoadBalancer" ? balancer : []), ...externalIPs];
  return all.join(",") || (type === "LoadBalancer" ? "<pending>" : "<none>");
}

const service = columnOf<Service>();
export const serviceColumns: Column[] = [
  nameColumn,
  service("Type", (s) => s.spec?.type ?? ""),
  service("Cluster-IP", (s) => orNone(s.spec?.clusterIPs?.[0] || s.spec?.clusterIP)),
  service("External-IP", externalIps),
  service("Port(s)", servicePorts),
  ageColumn,
  service(
    "Selector",
    (s) =>
      orNone(
        Object.entries(s.spec?.selector ?? {})
          .map(([key, value]) => `${key}=${value}`)
          .sort()
          .join(","),
      ),
    1,
  ),
];

const lease = columnOf<Lease>();
export const leaseColumns: Column[] = [nameColumn, lease("Holder", (l) => l.spec?.holderIdentity ?? ""), ageColumn];
