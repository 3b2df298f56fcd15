import { pipeline } from "node:stream/promises";
import { answer } from "../answer.ts";
import { openNodeLog } from "../nodeLogs.ts";
import type { Route, RouteDeps } from "../route.ts";

/** The node's own log files, as `kubectl get --raw /api/v1/nodes/NODE/proxy/logs/` shows them. */
export const nodeLogsRoutes = ({ node: { logDir } }: RouteDeps): Route[] =>
  ["/logs", "/logs/*"].map((path) => ({
    methods: ["GET"],
    path,
    access: ["log"],
    async handle({ params, signal }, response) {
      const found = logDir === undefined ? undefined : await openNodeLog(logDir, params["*"] ?? "");
      if (!found) {
        const why =
          logDir === undefined ? "this node shows no logs of its own: logDir is not set" : "404 page not found";
        answer(response, 404, why);
      } else if ("names" in found) {
        const lines = found.names.map((name) => `<a href="${encodeURI(`./${name}`)}">${escaped(name)}</a>\n`);
        response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end(`<pre>\n${lines.join("")}</pre>\n`);
      } else {
        response.writeHead(200, { "content-type": "text/plain; charset=utf-8" });
        // As long as it is now: it may grow for ever.
        if (found.bytes === 0) await found.file.close().then(() => response.end());
        else await pipeline(found.file.createReadStream({ start: 0, end: found.bytes - 1 }), response, { signal });
      }
    },
  }));

function escaped(name: string): string {
  return name.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
