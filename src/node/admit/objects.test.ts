import { describe, expect, test } from "vitest";
import type { Node, Taint } from "../../kube/types.ts";
import { virtualTaint } from "../nodeObject.ts";
import {
  type Admission,
  admissionObjects,
  admittedNode,
  certificateWishes,
  nodeUpdate,
  signingRequest,
} from "./objects.ts";

const plain: Admission = {
  nodeName: "n1",
  nodeLabels: {},
  nodeTaints: [],
  disableTaint: false,
  architecture: "amd64",
  ips: [],
  names: [],
  expirationSeconds: undefined,
};
const own: Taint = { key: "a", value: "b", effect: "NoExecute" };

test("a node that is admitted has the labels that it may not set itself, those asked for, and the taint", () => {
  const node = admittedNode({ ...plain, nodeLabels: { site: "lab" }, nodeTaints: [own] });
  expect(node.metadata).toEqual({
    name: "n1",
    labels: {
      "kubernetes.io/hostname": "n1",
      "kubernetes.io/os": "linux",
      "kubernetes.io/arch": "amd64",
      "kubernetes.io/role": "agent",
      type: "virtual-kubelet",
      site: "lab",
    },
  });
  expect(node.spec?.taints).toEqual([virtualTaint, own]);
  expect(admittedNode({ ...plain, disableTaint: true }).spec?.taints).toEqual([]);
});

describe("the certificates", () => {
  const namesOf = (admission: Admission, node?: Node) => certificateWishes(admission, node).serving.subject.names;

  test("are what the two signers take", () => {
    expect(certificateWishes(plain, undefined)).toEqual({
      client: {
        purpose: "client",
        subject: { commonName: "system:node:n1", organizations: ["system:nodes"] },
        signerName: "kubernetes.io/kube-apiserver-client-kubelet",
        usages: ["digital signature", "key encipherment", "client auth"],
      },
      serving: {
        purpose: "serving",
        subject: { commonName: "system:node:n1", organizations: ["system:nodes"], names: ["n1"] },
        signerName: "kubernetes.io/kubelet-serving",
        usages: ["digital signature", "key encipherment", "server auth"],
      },
    });
  });

  test("hold each name once, and the addresses asked for", () => {
    const admission = { ...plain, names: ["n1", "n1.example.org"], ips: ["10.0.0.1"] };
    expect(namesOf(admission)).toEqual(["n1", "n1.example.org", "10.0.0.1"]);
  });

  test("hold the addresses of a Node that exists where none are asked for", () => {
    const addresses = [
      { type: "InternalIP", address: "10.0.0.2" },
      { type: "Hostname", address: "other" },
    ];
    const node: Node = { status: { addresses } };
    expect(namesOf(plain, node)).toEqual(["n1", "10.0.0.2"]);
    expect(namesOf({ ...plain, ips: ["10.0.0.1"] }, node)).toEqual(["n1", "10.0.0.1"]);
  });

  test("are asked for in base64, for a time only where one is wanted", () => {
    const wish = certificateWishes(plain, undefined).client;
    expect(signingRequest(plain, wish, "PEM")).toEqual({
      apiVersion: "certificates.k8s.io/v1",
      kind: "CertificateSigningRequest",
      metadata: { generateName: "hostlet-client-n1-" },
      spec: { request: "UEVN", signerName: wish.signerName, usages: wish.usages },
    });
    expect(signingRequest({ ...plain, expirationSeconds: 600 }, wish, "PEM").spec.expirationSeconds).toBe(600);
  });
});

describe("a Node that exists", () => {
  const existing = (labels: Record<string, string>, taints: Taint[]): Node => ({
    metadata: { resourceVersion: "7", labels: { ...admittedNode(plain).metadata?.labels, ...labels } },
    spec: { taints },
  });
  const lost: Taint = { key: "node.kubernetes.io/unreachable", effect: "NoSchedule" };

  test.each<[string, Node, Partial<Admission>, object | undefined, string[]]>([
    ["is left alone when nothing is missing", existing({ more: "x" }, [virtualTaint, lost]), {}, undefined, []],
    [
      "gets the labels that are missing or different",
      existing({ a: "old" }, [virtualTaint]),
      { nodeLabels: { a: "new", b: "" } },
      { metadata: { resourceVersion: "7", labels: { a: "new", b: "" } } },
      ['label a=new (was "old")', "label b="],
    ],
    [
      "keeps the architecture that its agent has set",
      existing({ "kubernetes.io/arch": "arm64" }, [virtualTaint]),
      {},
      undefined,
      [],
    ],
    [
      "keeps others' taints, and gets those that are missing",
      existing({}, [lost]),
      { nodeTaints: [own] },
      { metadata: { resourceVersion: "7", labels: {} }, spec: { taints: [lost, virtualTaint, own] } },
      ["taint virtual-kubelet.io/provider=mock:NoSchedule", "taint a=b:NoExecute"],
    ],
    [
      "has a taint's value replaced",
      existing({}, [virtualTaint, { ...own, value: "old" }]),
      { nodeTaints: [own] },
      { metadata: { resourceVersion: "7", labels: {} }, spec: { taints: [virtualTaint, own] } },
      ["taint a=b:NoExecute"],
    ],
    [
      "loses the taint that is disabled, and no other",
      existing({}, [lost, virtualTaint]),
      { disableTaint: true },
      { metadata: { resourceVersion: "7", labels: {} }, spec: { taints: [lost] } },
      ["no taint virtual-kubelet.io/provider=mock:NoSchedule"],
    ],
  ])("%s", (_, node, admission, patch, changes) => {
    expect(nodeUpdate(node, { ...plain, ...admission })).toEqual({ patch, changes });
  });
});

test("a dry run shows the Node and both requests, and says what they are for", () => {
  const objects = admissionObjects({ ...plain, ips: ["10.0.0.1"] });
  expect(objects.map(({ kind }) => kind)).toEqual(["Node", "CertificateSigningRequest", "CertificateSigningRequest"]);
  expect(objects[2]?.spec).toMatchObject({ request: "<for O=system:nodes,CN=system:node:n1 at n1, 10.0.0.1>" });
});
