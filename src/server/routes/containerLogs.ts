import { once } from "node:events";
import { podRef } from "../../kube/types.ts";
import { findPod } from "../findPod.ts";
import { parseLogQuery } from "../logQuery.ts";
import type { Route, RouteDeps } from "../route.ts";

export const containerLogsRoutes = ({ provider }: RouteDeps): Route[] => [
  {
    methods: ["GET"],
    path: "/containerLogs/:namespace/:pod/:container",
    async handle({ params, query, signal }, response) {
      const { namespace = "", pod: name = "", container = "" } = params;
      const logOptions = parseLogQuery(query);
      const pod = findPod(provider, namespace, name, query.get("podUID") ?? undefined);
      const chunks = provider.logs(podRef(pod), container, logOptions, signal);
      response.setHeader("content-type", "text/plain");
      for await (const chunk of chunks) {
        if (!response.write(chunk) && !response.destroyed) await once(response, "drain", { signal });
      }
      response.end();
    },
  },
];
