/** How to reach an API server, and as whom. Certificates and keys are PEM texts. */
export interface ClientConfig {
  /** `https://host:port`, with a path where the server is behind one */
  server: string;
  ca?: string;
  cert?: string;
  key?: string;
  /** Where `cert` and `key` came from, if from files: read again from time to time. */
  certFile?: string;
  keyFile?: string;
  token?: string;
  /** Read again from time to time; goes before `token`. */
  tokenFile?: string;
  /** Asked for credentials where there is no token and no certificate. */
  exec?: ExecPlugin;
  insecureSkipTlsVerify?: boolean;
  /** Goes before HTTPS_PROXY and NO_PROXY; may hold a password. */
  proxyUrl?: string;
  /** The name that the server's certificate must hold, where it is not the URL's host. */
  tlsServerName?: string;
  /** The context's namespace. */
  namespace?: string;
}

/** A kubeconfig's `user.exec`: a program that gives credentials (KEP-541, client-go's plugin/pkg/client/auth/exec). */
export interface ExecPlugin {
  apiVersion: "client.authentication.k8s.io/v1" | "client.authentication.k8s.io/v1beta1";
  /** A path, or a name that is looked for in PATH. */
  command: string;
  args: string[];
  env: { name: string; value: string }[];
  provideClusterInfo: boolean;
  interactiveMode: "Never" | "IfAvailable" | "Always";
  installHint?: string;
  /** The cluster's extension `client.authentication.k8s.io/exec`, for the plugin alone. */
  clusterConfig?: unknown;
}
