import type { Namespace, Secret, Service } from "../../kube/types.ts";
import type { Stored } from "../objects.ts";
import { alter, alterEach, fill } from "./fill.ts";

const nameLabel = "kubernetes.io/metadata.name";

export function withNamespaceDefaults(object: Stored): Stored {
  const filled = fill(object as Namespace, { spec: { finalizers: ["kubernetes"] }, status: { phase: "Active" } });
  const { name, labels } = object.metadata;
  if (!name || labels?.[nameLabel] === name) return filled as Stored;
  return { ...filled, metadata: { ...object.metadata, labels: { ...labels, [nameLabel]: name } } } as Stored;
}

/** `stringData` is write-only: it ends up in `data`. */
export function withSecretData(object: Stored): Stored {
  const { stringData, ...secret } = fill(object as Secret, { type: "Opaque" });
  if (!stringData) return secret as Stored;
  const encoded = Object.entries(stringData).map(([key, text]) => [key, Buffer.from(text).toString("base64")]);
  return { ...secret, data: { ...secret.data, ...Object.fromEntries(encoded) } } as Stored;
}

export function withServiceDefaults(object: Stored): Stored {
  return alter(fill(object as Service, { spec: {}, status: { loadBalancer: {} } }), "spec", (spec) => {
    const filled = fill(spec, { sessionAffinity: "None", type: "ClusterIP", internalTrafficPolicy: "Cluster" });
    return alter(filled, "ports", (ports) =>
      alterEach(ports, (port) => fill(port, { protocol: "TCP", targetPort: port.port })),
    );
  }) as Stored;
}

export function withEventDefaults(object: Stored): Stored {
  const empty: Record<string, unknown> = { source: {}, reportingComponent: "", reportingInstance: "" };
  return fill(object, empty as Partial<Stored>);
}
