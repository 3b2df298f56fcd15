import fc from "fast-check";
import { expect, test } from "vitest";
import { LineSplitter } from "./lines.ts";
import { resourcePath, withQuery } from "./paths.ts";

function split(chunks: Buffer[]): { lines: string[]; partial: boolean } {
  const splitter = new LineSplitter();
  const lines = chunks.flatMap((chunk) => [...splitter.push(chunk)].map((line) => line.toString()));
  return { lines, partial: splitter.partial };
}

test("lines are the same wherever the stream is cut", () => {
  const text = fc.array(fc.string({ unit: fc.constantFrom("a", "é", "😀", "\n", '"') })).map((parts) => parts.join(""));
  fc.assert(
    fc.property(text, fc.array(fc.nat(8), { minLength: 1 }), (whole, sizes) => {
      const bytes = Buffer.from(whole);
      const chunks: Buffer[] = [];
      for (let at = 0, i = 0; at < bytes.length; i++) {
        const size = 1 + (sizes[i % sizes.length] ?? 0);
        chunks.push(bytes.subarray(at, at + size));
        at += size;
      }
      const expected = whole.split("\n");
      const last = expected.pop() ?? "";
      expect(split(chunks)).toEqual({ lines: expected.filter((line) => line !== ""), partial: last !== "" });
    }),
  );
});

test("paths of all kinds are built, each part encoded", () => {
  expect(resourcePath({ resource: "nodes" })).toBe("/api/v1/nodes");
  expect(
    resourcePath({ group: "coordination.k8s.io", resource: "leases", namespace: "kube-node-lease", name: "n" }),
  ).toBe("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n");
  expect(resourcePath({ resource: "pods", namespace: "../x", name: "a/b?c", subresource: "log" })).toBe(
    "/api/v1/namespaces/..%2Fx/pods/a%2Fb%3Fc/log",
  );
});

test("a query is encoded, and undefined is left out", () => {
  expect(withQuery("/p", { fieldSelector: "spec.nodeName=n&x", limit: 5, watch: true, none: undefined })).toBe(
    "/p?fieldSelector=spec.nodeName%3Dn%26x&limit=5&watch=true",
  );
  expect(withQuery("/p", undefined)).toBe("/p");
});
