import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { Agent, request as httpsRequest } from "node:https";
import { afterAll, beforeAll, expect, test } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { createClient, type KubeClient } from "../../src/kube/client.ts";
import { parseKubeconfig } from "../../src/kube/kubeconfig.ts";
import { createAuthority, type KeyPair } from "../../src/pki/authority.ts";
import type { Provider } from "../../src/providers/contract.ts";
import { apiReviews } from "../../src/server/guard/reviews.ts";
import { type KubeletServer, startKubeletServer } from "../../src/server/kubeletServer.ts";
import { createAgentMetrics } from "../../src/telemetry/agentMetrics.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import {
  expectedCode,
  expectedUpgrade,
  type Method,
  matrix,
  methods,
  type Right,
  rights,
} from "./support/accessMatrix.ts";
import { controlPlane, type TestControlPlane } from "./support/controlPlane.ts";

const verbs: Record<Method, string> = {
  GET: "get",
  HEAD: "get",
  POST: "create",
  PUT: "update",
  PATCH: "patch",
  DELETE: "delete",
};

interface Identity {
  name: string;
  pair?: KeyPair;
  token?: string;
  /** Undefined: nobody that is known. */
  has?: readonly Right[];
}

let cluster: TestControlPlane;
let client: KubeClient;
let server: KubeletServer;
let identities: Identity[];
let servingCa: string;

const day = 86_400_000;
const now = Date.now();
const lifetime = { notBefore: now - day, notAfter: now + day };

beforeAll(async () => {
  cluster = await controlPlane();
  const access = parseKubeconfig(cluster.adminKubeconfig(), { file: "of the test" });
  client = createClient(access, { log: silentLogger, clock: systemClock, userAgent: "hostlet-test" });
  const [authority, other] = [createAuthority(now - 2 * day, now + day), createAuthority(now - day, now + day)];
  servingCa = authority.caPem;
  const person = (name: string) => ({ commonName: name, use: "client" as const, ...lifetime });
  const may = new Map<string, readonly Right[]>(rights.map((right) => [`may-${right}`, [right]]));
  may.set("admin", rights).set("kubernetes-admin", rights);
  identities = [
    { name: "nobody" },
    { name: "a CA that is not ours", pair: other.issue(person("admin")) },
    {
      name: "expired",
      pair: authority.issue({ ...person("admin"), notBefore: now - 2 * day, notAfter: now - day }),
    },
    { name: "a certificate for servers", pair: authority.issue({ ...person("admin"), use: "server" }) },
    { name: "a token that is nobody's", token: "x.y.z" },
    { name: "no rights", pair: authority.issue(person("nobody-in-particular")), has: [] },
    ...rights.map((right) => ({
      name: `nodes/${right}`,
      pair: authority.issue(person(`may-${right}`)),
      has: [right],
    })),
    { name: "a token with all rights", token: access.token ?? "", has: rights },
  ];
  const provider = {
    list: () => [{ metadata: { namespace: "ns", name: "p", uid: "u" } }],
    get: () => undefined,
    capabilities: () => ({ exec: true, attach: true, portForward: true, stats: "not here" }),
    async *logs() {
      yield Buffer.from("x");
    },
  } as unknown as Provider;
  const reviews = apiReviews(client, "n1");
  server = await startKubeletServer({
    host: "127.0.0.1",
    port: 0,
    ...authority.issue({ commonName: "n1", names: ["127.0.0.1"], use: "server", ...lifetime }),
    clientCa: authority.caPem,
    provider,
    node: { name: "n1", stateDir: "/", config: {} },
    metrics: createAgentMetrics(),
    clock: systemClock,
    log: silentLogger,
    reviews: {
      token: reviews.token,
      // The embedded control plane has no roles: here they are a table. e2e asks real ones (test/e2e/rbac.test.ts).
      access: async ({ username }, { verb, subresource }) => {
        asked.add(`${verb} ${subresource}`);
        return may.get(username)?.includes(subresource) ?? false;
      },
    },
  });
});
afterAll(async () => {
  for (const agent of agents.values()) agent.destroy();
  await server.stop();
  client.close();
  await cluster.stop();
});

const asked = new Set<string>();

/** A handshake for each of a thousand requests would take longer than all the rest. */
const agents = new Map<string, Agent>();

async function ask(identity: Identity, method: string, path: string, upgrade = false): Promise<number> {
  const { pair, token } = identity;
  const headers = {
    ...(token !== undefined && { authorization: `Bearer ${token}` }),
    ...(upgrade && { connection: "Upgrade", upgrade: "SPDY/3.1" }),
  };
  const agent = agents.get(identity.name) ?? new Agent({ keepAlive: true });
  agents.set(identity.name, agent);
  const request = httpsRequest({
    host: "127.0.0.1",
    port: server.port,
    path,
    method,
    headers,
    ca: servingCa,
    agent: upgrade ? false : agent,
    ...pair,
  });
  request.end();
  const [response] = (await once(request, "response")) as [IncomingMessage];
  response.resume();
  await once(response, "close");
  return response.statusCode ?? 0;
}

test("every verb x every identity x every path is let in exactly where it should be", {
  timeout: 240_000,
}, async () => {
  const rows: string[][] = [["path", ...identities.map(({ name }) => name)]];
  const wrong: string[] = [];
  for (const access of matrix) {
    for (const method of methods) {
      const got = await Promise.all(identities.map((identity) => ask(identity, method, access.path)));
      const upgraded =
        access.answers[method] !== undefined
          ? await Promise.all(identities.map((identity) => ask(identity, method, access.path, true)))
          : undefined;
      identities.forEach(({ name, has }, index) => {
        const want = [expectedCode(access, method, has), expectedUpgrade(access, method, has)];
        const codes = [got[index], upgraded?.[index] ?? want[1]];
        if (codes.join() !== want.join()) wrong.push(`${method} ${access.path} as ${name}: ${codes}, not ${want}`);
      });
      rows.push([
        `${method} ${access.path}`,
        ...got.map((code) => (code === 401 || code === 403 ? String(code) : "in")),
      ]);
    }
  }
  console.log(table(rows));
  expect(wrong).toEqual([]);
  expect([...asked].filter((each) => !Object.values(verbs).some((verb) => each.startsWith(verb)))).toEqual([]);
});

test("the page of the documentation is that matrix", async () => {
  const named = identities.filter(({ has }) => has && has.length < rights.length);
  const rows = matrix.flatMap((access) =>
    (Object.keys(access.answers) as Method[]).map((method) => {
      const cells = named.map(({ has }) => (expectedCode(access, method, has) === 403 ? "" : "yes"));
      return [
        `\`${method} ${access.path.replace("/ns/none", "/NAMESPACE/POD").replace(/\/c$/, "/CONTAINER")}\``,
        ...cells,
      ];
    }),
  );
  const head = ["", ...named.map(({ name }) => (name === "no rights" ? name : `\`${name}\``))];
  const lines = [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`);
  const page = `<!-- Made by test/integration/authz.test.ts: npx vitest run --project integration test/integration/authz.test.ts -u -->

# Who may ask the kubelet API for what

The columns are rights that RBAC can give on \`nodes/...\`: with one of them, and no other, a client may do what says yes. Without a
certificate of the clients' CA and without a token of the cluster, with one that has run out or is somebody else's, every cell is 401. What needs
\`nodes/proxy\` alone is as good as a login. The test that this page is made by asks for each cell.

${lines.join("\n")}
`;
  await expect(page).toMatchFileSnapshot("../../docs/reference/kubelet-api-access.md");
});

function table(rows: string[][]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column]!)).join("  ")).join("\n");
}
