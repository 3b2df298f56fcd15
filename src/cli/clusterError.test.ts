import { expect, test } from "vitest";
import { HostletError } from "../errors.ts";
import { ApiError, NetworkError } from "../kube/apiError.ts";
import { clusterError } from "./clusterError.ts";

const request = { method: "GET", path: "/api/v1/nodes" };
const refused = (code: number, reason = "X") => new ApiError(request, { code, reason, message: "said so" });

test.each([
  [refused(401), /does not accept the credentials.*said so/],
  [refused(403), /deploy\/rbac\.yaml.*said so/],
  [refused(404, "InvalidResponse"), /does not answer as an API server.*said so/],
  [refused(422), /refused.*said so/],
  [
    new NetworkError(request, "https://s", "CERT_HAS_EXPIRED", "certificate has expired"),
    /certificate-authority.*expired/,
  ],
])("%s is told as ApiFailed, with what to do", (error, message) => {
  expect(clusterError(error, "https://s")).toMatchObject({
    code: "ApiFailed",
    exitCode: 4,
    cause: error,
    message: expect.stringMatching(message),
  });
});

test("what is no answer of the cluster stays as it is", () => {
  const error = new HostletError("NodeNameTaken", "x");
  expect(clusterError(error, "https://s")).toBe(error);
});
