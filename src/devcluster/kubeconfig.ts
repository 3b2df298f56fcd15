import { stringify } from "yaml";

/** A kubeconfig with everything embedded, as YAML. Holds a token: for files of mode 0600 alone. */
export function kubeconfigText(url: string, caPem: string, user: string, token: string): string {
  return stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [
      {
        name: "hostlet",
        cluster: { server: url, "certificate-authority-data": Buffer.from(caPem).toString("base64") },
      },
    ],
    users: [{ name: user, user: { token } }],
    contexts: [{ name: "hostlet", context: { cluster: "hostlet", user } }],
    "current-context": "hostlet",
    preferences: {},
  });
}
