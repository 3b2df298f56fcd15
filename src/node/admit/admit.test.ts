import { X509Certificate } from "node:crypto";
import { beforeEach, describe, expect, test } from "vitest";
import type { Clock } from "../../clock.ts";
import { ApiError, NetworkError } from "../../kube/apiError.ts";
import type { Node } from "../../kube/types.ts";
import { createAuthority } from "../../pki/authority.ts";
import { FakeClient, type FakeRequest } from "../testing/fakeClient.ts";
import { admit } from "./admit.ts";
import type { Admission } from "./objects.ts";
import { Signer } from "./testing/signer.ts";

const admission: Admission = {
  nodeName: "n1",
  nodeLabels: { site: "lab" },
  nodeTaints: [],
  disableTaint: false,
  architecture: "amd64",
  ips: ["10.0.0.1"],
  names: [],
  expirationSeconds: undefined,
};
const authority = createAuthority(Date.now() - 60_000, Date.now() + 3_600_000);

let client: FakeClient;
let signer: Signer;
let node: Node | undefined;
/** Errors that requests meet first, by `METHOD path`. */
let troubles: Map<string, Error[]>;
let said: string[];

beforeEach(() => {
  client = new FakeClient();
  signer = new Signer(authority);
  node = undefined;
  troubles = new Map();
  said = [];
  client.respond = (request) => {
    const trouble = troubles.get(`${request.method} ${request.path}`)?.shift();
    if (trouble) return trouble;
    try {
      return signer.handle(request.method, request.path, request.body) ?? nodes(request);
    } catch (error) {
      return error;
    }
  };
});

function nodes({ method, path, body }: FakeRequest): unknown {
  if (method === "GET") return node ?? apiError(method, path, 404, "NotFound");
  if (method === "POST" && node) return apiError(method, path, 409, "AlreadyExists");
  const given = body as Node;
  const labels = { ...node?.metadata?.labels, ...given.metadata?.labels };
  node = method === "POST" ? given : { ...node, ...given, metadata: { ...node?.metadata, labels } };
  return node;
}

function apiError(method: string, path: string, code: number, reason: string): ApiError {
  return new ApiError({ method, path }, { code, reason, message: `the API's own words: ${reason}` });
}

/** Each wait is over at once, and takes its time. */
function hurriedClock(): Clock {
  let now = Date.now();
  return {
    now: () => now,
    after(ms, callback) {
      setImmediate(() => {
        now += ms;
        callback();
      });
      return () => {};
    },
  };
}

const run = (given: Partial<Admission> = {}, signal = new AbortController().signal) =>
  admit({
    client,
    admission: { ...admission, ...given },
    clock: hurriedClock(),
    signal,
    say: (line) => said.push(line),
  });

describe("admit", () => {
  test("makes the Node first, then a client and a serving certificate that the cluster's CA signed", async () => {
    const pairs = await run();
    expect(node?.metadata?.labels).toMatchObject({ site: "lab" });
    const [own, serving] = [new X509Certificate(pairs.client.cert), new X509Certificate(pairs.serving.cert)];
    const ca = new X509Certificate(authority.caPem);
    expect([own.verify(ca.publicKey), serving.verify(ca.publicKey)]).toEqual([true, true]);
    expect(own.subject).toBe("O=system:nodes\nCN=system:node:n1");
    expect(own.subjectAltName).toBeUndefined();
    expect(serving.subjectAltName).toBe("DNS:n1, IP Address:10.0.0.1");
    expect(client.requests.map(({ method, path }) => `${method} ${path.split("/").slice(-2).join("/")}`)).toEqual([
      "GET nodes/n1",
      "POST v1/nodes",
      "POST v1/certificatesigningrequests",
      "PUT hostlet-client-n1-0/approval",
      "GET certificatesigningrequests/hostlet-client-n1-0",
      "POST v1/certificatesigningrequests",
      "PUT hostlet-serving-n1-1/approval",
      "GET certificatesigningrequests/hostlet-serving-n1-1",
    ]);
    expect(said).toEqual([
      "node n1 created",
      expect.stringMatching(/^client certificate for system:node:n1, until \d{4}-.*Z$/),
      expect.stringMatching(/^serving certificate for n1, 10.0.0.1, until \d{4}-.*Z$/),
    ]);
  });

  test("renews when it is run again, and brings the Node up to date", async () => {
    const first = await run();
    said = [];
    const second = await run({ nodeLabels: { site: "elsewhere" } });
    expect(second.client.cert).not.toBe(first.client.cert);
    expect(said[0]).toBe('node n1 exists; set on it: label site=elsewhere (was "lab")');
    expect(node?.metadata?.labels?.site).toBe("elsewhere");
    said = [];
    await run({ nodeLabels: { site: "elsewhere" } });
    expect(said[0]).toBe("node n1 exists and is up to date");
  });

  test("reads the Node again when its agent has written to it meanwhile, or has made it", async () => {
    troubles.set("GET /api/v1/nodes/n1", [apiError("GET", "/api/v1/nodes/n1", 404, "NotFound")]);
    troubles.set("PATCH /api/v1/nodes/n1", [apiError("PATCH", "/api/v1/nodes/n1", 409, "Conflict")]);
    node = { metadata: { name: "n1", labels: {} } };
    await run();
    expect(said[0]).toMatch(/^node n1 exists; set on it: .*label site=lab/);
  });

  test("is content with a request that kube-controller-manager approved first", async () => {
    signer.mood = "raced";
    await run();
    expect(signer.requests[0]?.status?.conditions).toMatchObject([{ type: "Approved" }]);
  });

  test("tries again what can pass", async () => {
    const path = "/api/v1/nodes/n1";
    const reset = new NetworkError({ method: "GET", path }, "https://s", "ECONNRESET", "reset");
    troubles.set(`GET ${path}`, [reset, apiError("GET", path, 503, "ServiceUnavailable")]);
    await run();
    expect(said).toHaveLength(3);
  });

  test.each<["sleeps" | "denies" | "fails", RegExp]>([
    [
      "sleeps",
      /hostlet-client-n1-0 has no certificate after 60 s although it is approved: nothing signs for kubernetes.io/,
    ],
    ["denies", /hostlet-client-n1-0: denied: No: not you/],
    ["fails", /hostlet-client-n1-0: failed: SignerValidationFailure: bad usages/],
  ])("says what is wrong when the signer %s", async (mood, expected) => {
    signer.mood = mood;
    await expect(run()).rejects.toMatchObject({ code: "ApiFailed", message: expect.stringMatching(expected) });
  });

  test.each([
    ["GET /api/v1/nodes/n1", "reading the Node n1"],
    ["POST /api/v1/nodes", "creating the Node n1"],
    ["POST /apis/certificates.k8s.io/v1/certificatesigningrequests", "requesting the client certificate"],
    [
      "PUT /apis/certificates.k8s.io/v1/certificatesigningrequests/hostlet-client-n1-0/approval",
      "approving CertificateSigningRequest hostlet-client-n1-0",
    ],
  ])("where %s is forbidden, gives the API's words and the rights that are needed", async (request, what) => {
    const [method = "", path = ""] = request.split(" ");
    troubles.set(request, [apiError(method, path, 403, "Forbidden")]);
    const error = await run().then(
      () => expect.fail("it was allowed"),
      (cause: unknown) => cause as Error,
    );
    expect(error).toMatchObject({ code: "ApiFailed" });
    expect(error.message).toContain(
      `${what}: ${request}: 403 Forbidden: the API's own words: Forbidden. hostlet admit needs`,
    );
    expect(error.message).toContain("certificatesigningrequests/approval: update");
  });

  test("ends with its signal", async () => {
    signer.mood = "sleeps";
    const abort = new AbortController();
    const running = run({}, abort.signal);
    setImmediate(() => abort.abort(new Error("enough")));
    await expect(running).rejects.toThrow("enough");
  });
});
