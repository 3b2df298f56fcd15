import type { ClientConfig } from "./clientConfig.ts";
import type { Credential, CredentialOptions, Credentials } from "./credentials.ts";
import { FileCredentials } from "./credentialsFiles.ts";
import { execCredentials } from "./execPlugin.ts";

/**
 * Tokens go before plugins, as in client-go; a token file goes before a token. Certificates that the kubeconfig names by file
 * are read again like token files.
 */
export function credentialsOf(config: ClientConfig, options: CredentialOptions): Credentials {
  const { token, tokenFile, cert, key, certFile, keyFile, exec } = config;
  if (exec && !token && !tokenFile && !cert) return execCredentials(exec, config, options);
  if (tokenFile || (certFile && keyFile)) return new FileCredentials(config, options.clock);
  const fixed: Credential = {
    ...(token ? { authorization: `Bearer ${token}` } : {}),
    ...(cert && key ? { certificate: { cert, key } } : {}),
  };
  return { current: () => fixed, refused: () => {}, close: () => {} };
}
