import { mkdtempSync, rmSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "../../clock.ts";
import { createDummyProvider } from "../../providers/dummy/index.ts";
import { silentLogger } from "../../telemetry/log.ts";
import type { HopServer } from "../http/server.ts";
import { startPlugin } from "../plugin/server.ts";
import { startApiServer } from "./server.ts";

interface Schema {
  $ref?: string;
  type?: string;
  nullable?: boolean;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
}
interface Document {
  paths: Record<
    string,
    Record<
      string,
      { requestBody?: object; responses: Record<string, { content?: Record<string, { schema: Schema }> }> }
    >
  >;
  components: { schemas: Record<string, Schema> };
}

let dir: string;
const servers: HopServer[] = [];
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "hostlet-openapi-"));
  const shared = { insecure: false, clock: systemClock, log: silentLogger };
  servers.push(
    await startPlugin({
      ...shared,
      address: { socket: join(dir, "plugin") },
      provider: (context) =>
        createDummyProvider({ context, stateDir: join(dir, "s"), podsDir: join(dir, "p"), hostIP: "127.0.0.1" }),
      stateDir: join(dir, "s"),
      resources: { cpu: "1", memory: "1Gi", pods: "5", accelerators: [{ resourceType: "gpu", available: 1 }] },
      taints: [],
    }),
    await startApiServer({
      ...shared,
      address: { socket: join(dir, "api") },
      config: { sidecar: { url: `unix:${join(dir, "plugin")}` }, statusMaxAgeMs: 1000 },
    }),
  );
});
afterAll(async () => {
  for (const server of servers.reverse()) await server.stop();
  rmSync(dir, { recursive: true, force: true });
});

function ask(socket: string, method: string, path: string, body: string) {
  return new Promise<{ status: number; type: string; text: string }>((resolve, reject) => {
    const headers = { "content-length": String(Buffer.byteLength(body)) };
    const request = httpRequest({ socketPath: join(dir, socket), method, path, headers }, async (response) => {
      let text = "";
      for await (const chunk of response) text += chunk;
      resolve({ status: response.statusCode!, type: response.headers["content-type"] ?? "", text });
    });
    request.on("error", reject);
    request.end(body);
  });
}

const uid = "11111111-2222-4333-8444-555555555555";
const pod = {
  metadata: { name: "p", namespace: "default", uid },
  spec: { containers: [{ name: "c", command: ["sh", "-c", "echo hi"] }] },
};
const bodies: Record<string, unknown> = {
  PodCreateRequests: { pod },
  RetrievedPodData: { pod, container: [{ name: "c", configMaps: null }], jobConfig: {} },
  PodList: [pod],
  LogStruct: { Namespace: "default", PodUID: uid, PodName: "p", ContainerName: "c", Opts: {} },
  Pod: pod,
};

/** In this order: what is asked for exists. */
const paths = ["/pinglink", "/create", "/status", "/getLogs", "/updateCache", "/delete"];

describe.each(["api", "plugin"])("the document of the %s", (socket) => {
  test("names what is answered, as it is answered", async () => {
    const document = JSON.parse((await ask(socket, "GET", "/openapi.json", "")).text) as Document;
    expect(Object.keys(document.paths).sort()).toEqual([...paths].sort());
    for (const path of paths) {
      const [method, operation] = Object.entries(document.paths[path]!)[0]!;
      const schemaName = /schemas\/(\w+)/.exec(JSON.stringify(operation.requestBody ?? {}))?.[1];
      const body = schemaName === undefined ? "" : JSON.stringify(bodies[schemaName]);
      if (socket === "plugin" && path === "/create") continue; // the pod of the API server's turn was deleted for good
      const answer = await ask(socket, method.toUpperCase(), path, body);
      const [type, { schema }] = Object.entries(operation.responses["200"]!.content!)[0]!;
      if (socket === "plugin" && path === "/getLogs") expect(answer.status).toBe(404);
      else {
        expect([path, answer.status]).toEqual([path, 200]);
        expect(answer.type).toContain(type);
        if (type === "application/json")
          expect(mismatch(JSON.parse(answer.text), schema, document, path)).toBeUndefined();
      }
      if (schemaName !== undefined) {
        const wrong = await ask(socket, method.toUpperCase(), path, "no JSON");
        expect([path, String(wrong.status)]).toEqual([path, "400"]);
        expect(Object.keys(operation.responses)).toContain("400");
      }
    }
  });
});

/** The first place where a value is not what its schema says. */
function mismatch(value: unknown, schema: Schema, document: Document, at: string): string | undefined {
  if (schema.$ref) return mismatch(value, document.components.schemas[schema.$ref.split("/").at(-1)!]!, document, at);
  if (value === null) return schema.nullable ? undefined : `${at} is null`;
  if (schema.type === "array") {
    if (!Array.isArray(value)) return `${at} is no list`;
    return value.map((one, index) => mismatch(one, schema.items!, document, `${at}[${index}]`)).find(Boolean);
  }
  if (schema.type === "object") {
    if (typeof value !== "object") return `${at} is no object`;
    const missing = (schema.required ?? []).find((key) => !(key in value));
    if (missing !== undefined) return `${at} has no ${missing}`;
    const known = Object.entries(value).filter(([key]) => schema.properties?.[key]);
    return known.map(([key, one]) => mismatch(one, schema.properties![key]!, document, `${at}.${key}`)).find(Boolean);
  }
  const types: Record<string, string> = { integer: "number", string: "string", boolean: "boolean" };
  return typeof value === types[schema.type!] ? undefined : `${at} is a ${typeof value}`;
}
