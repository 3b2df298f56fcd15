import { HostletError } from "../errors.ts";
import { ApiError, NetworkError } from "../kube/apiError.ts";

/**
 * What a command that could not work with its cluster ends with; what waiting can mend never comes here.
 * @param server the API server's URL
 * @returns ApiFailed for what the API server or the way to it said; any other error as it is
 */
export function clusterError(error: unknown, server: string): unknown {
  if (!(error instanceof ApiError) && !(error instanceof NetworkError)) return error;
  return new HostletError("ApiFailed", `${advice(error, server)}: ${error.message}`, { cause: error });
}

function advice(error: ApiError | NetworkError, server: string): string {
  if (error instanceof NetworkError) {
    return `no connection to ${server}; is the kubeconfig's server the right one, and its certificate-authority that server's CA?`;
  }
  switch (error.code) {
    case 401:
      return `${server} does not accept the credentials of the kubeconfig: get new ones (hostlet admit again, or a new token)`;
    case 403:
      return `${server} forbids what a node does: use the identity that hostlet admit makes, or grant deploy/rbac.yaml`;
    default:
      return error.reason === "InvalidResponse"
        ? `${server} does not answer as an API server: check the kubeconfig's server`
        : `${server} refused`;
  }
}
