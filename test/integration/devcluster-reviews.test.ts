import { describe, expect, it } from "vitest";
import { start, tokenOf } from "./support/wire.ts";

const authentication = "/apis/authentication.k8s.io/v1";
const authorization = "/apis/authorization.k8s.io/v1";

interface Review {
  kind: string;
  status: Record<string, unknown>;
  message?: string;
}

const admin = { username: "kubernetes-admin", groups: ["system:masters", "system:authenticated"] };
const pods = { resourceAttributes: { verb: "get", resource: "pods", namespace: "default" } };

describe("reviews", () => {
  it("of tokens say whose they are", async () => {
    const { cluster, wire } = await start();
    const review = async (spec: object) =>
      (await wire.post<Review>(`${authentication}/tokenreviews`, { kind: "TokenReview", spec })).body.status;
    expect(await review({ token: tokenOf(cluster) })).toMatchObject({ authenticated: true, user: admin });
    expect(await review({ token: "x" })).toEqual({ user: {}, error: "invalid bearer token" });
    expect(await review({ token: tokenOf(cluster), audiences: ["another"] })).not.toHaveProperty("authenticated");

    await wire.post("/api/v1/namespaces/default/serviceaccounts", { metadata: { name: "builder" } });
    const path = "/api/v1/namespaces/default/serviceaccounts/builder/token";
    const { body } = await wire.post<{ status: { token: string } }>(path, { spec: {} });
    expect(await review({ token: body.status.token })).toMatchObject({
      authenticated: true,
      user: { username: "system:serviceaccount:default:builder" },
      audiences: ["https://kubernetes.default.svc.cluster.local"],
    });
  });

  it("of access allow everything to whoever is authenticated, and say why", async () => {
    const { wire } = await start();
    const allowed = async (kind: string, spec: object) =>
      (await wire.post<Review>(`${authorization}/${kind}`, { spec })).body.status;
    const yes = { allowed: true, reason: expect.stringContaining("no roles") };
    expect(await allowed("subjectaccessreviews", { user: "bob", ...pods })).toEqual(yes);
    expect(await allowed("selfsubjectaccessreviews", pods)).toEqual(yes);
    expect(await allowed("namespaces/default/localsubjectaccessreviews", { groups: ["g"], ...pods })).toEqual(yes);
    expect(await allowed("subjectaccessreviews", { user: "system:anonymous", ...pods })).toEqual({ allowed: false });
    expect((await wire.post<Review>(`${authentication}/selfsubjectreviews`, {})).body.status).toEqual({
      userInfo: admin,
    });
  });

  it("that ask nothing are refused", async () => {
    const { wire } = await start();
    const refused = async (path: string, spec: object) => {
      const { code, body } = await wire.post(path, { spec });
      return `${code} ${body.message}`;
    };
    expect(await refused(`${authentication}/tokenreviews`, {})).toMatch(/^400 token is required/);
    expect(await refused(`${authorization}/subjectaccessreviews`, pods)).toMatch(
      /^422 .*at least one of user or group/,
    );
    expect(await refused(`${authorization}/selfsubjectaccessreviews`, {})).toMatch(/^422 .*exactly one of/);
    const local = `${authorization}/namespaces/other/localsubjectaccessreviews`;
    expect(await refused(local, { user: "bob", ...pods })).toMatch(/^422 .*must match metadata.namespace/);
    expect((await wire.get(`${authentication}/tokenreviews`)).code).toBe(405);
    expect((await wire.get(`${authentication}/imagined`)).code).toBe(404);
  });

  it("are found by discovery", async () => {
    const { wire } = await start();
    const { body } = await wire.get<{ resources: unknown[] }>(authorization);
    expect(body.resources).toContainEqual({
      name: "localsubjectaccessreviews",
      singularName: "localsubjectaccessreview",
      namespaced: true,
      kind: "LocalSubjectAccessReview",
      verbs: ["create"],
    });
  });
});
