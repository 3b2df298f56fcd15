import { expect, test } from "vitest";
import { readAdmission } from "./admit.ts";

test("flags are read as their documentation says", () => {
  const flags = {
    nodeLabels: "a=b,example.org/c=",
    nodeTaints: "k=v:NoSchedule,l:NoExecute",
    disableTaint: true,
    ip: "10.0.0.1,fd00::1",
    names: "n1.example.org",
    expiration: "90d",
  };
  expect(readAdmission("n1", flags)).toMatchObject({
    nodeName: "n1",
    nodeLabels: { a: "b", "example.org/c": "" },
    nodeTaints: [
      { key: "k", value: "v", effect: "NoSchedule" },
      { key: "l", effect: "NoExecute" },
    ],
    disableTaint: true,
    ips: ["10.0.0.1", "fd00::1"],
    names: ["n1.example.org"],
    expirationSeconds: 90 * 86_400,
  });
});

test.each([
  ["N1", {}, "--node-name"],
  ["n1", { nodeLabels: "a b=c" }, "--node-labels"],
  ["n1", { nodeTaints: "a=b" }, "--node-taints"],
  ["n1", { ip: "10.0.0" }, "--ip"],
  ["n1", { names: "Not A Name" }, "--names"],
  ["n1", { expiration: "5m" }, "--expiration"],
  ["n1", { expiration: "soon" }, "--expiration"],
])("%s with %j is refused, naming %s", (name, flags, expected) => {
  expect(() => readAdmission(name, flags)).toThrow(expected);
});
