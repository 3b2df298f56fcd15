import { beforeEach, describe, expect, test } from "vitest";
import { HostletError } from "../../errors.ts";
import type { Container, Pod } from "../../kube/types.ts";
import { ManualClock } from "../../testing/manualClock.ts";
import { base64, testObjects } from "../volumes/testObjects.ts";
import { nextPull } from "./pullBackoff.ts";
import { ImagePuller } from "./pulling.ts";
import { FakeImages } from "./testImages.ts";

let clock: ManualClock;
let images: FakeImages;
let puller: ImagePuller;
let events: string[];
const auths = {
  auths: { "registry.example": { auth: base64("ann:secret") }, "other.example": { auth: base64("x:y") } },
};
const objects = testObjects({}, { login: { data: { ".dockerconfigjson": base64(JSON.stringify(auths)) } } });

beforeEach(() => {
  clock = new ManualClock();
  images = new FakeImages();
  puller = new ImagePuller({ images, objects, clock });
  events = [];
});

const pod: Pod = { metadata: { name: "p", namespace: "default", uid: "u" }, spec: { containers: [] } };
const image = "registry.example/team/app:1";
const id = "registry.example/team/app@sha256:1234";

async function ensure(container: Partial<Container>, of: Pod = pod, signal = new AbortController().signal) {
  const emit = (type: string, reason: string, message: string) => events.push(`${type} ${reason}: ${message}`);
  return puller.ensure(of, { name: "c", image, ...container }, emit, signal);
}
const refused = (container: Partial<Container> = {}) =>
  ensure(container).then(
    () => undefined,
    (error) => error,
  );

describe("what imagePullPolicy does", () => {
  test.each([
    ["Always", "here", "pull"],
    ["Always", "away", "pull"],
    ["IfNotPresent", "here", "take"],
    ["IfNotPresent", "away", "pull"],
    ["Never", "here", "take"],
    ["Never", "away", "ErrImageNeverPull"],
  ] as const)("%s, and the image is %s: %s", async (imagePullPolicy, where, expected) => {
    images.registry.set(image, { id });
    if (where === "here") images.present.set(image, { id });
    const result = await ensure({ imagePullPolicy }).catch((error: HostletError) => error);
    if (expected === "ErrImageNeverPull") {
      expect(result).toMatchObject({ code: "ImageUnavailable", reason: expected });
      expect(events).toEqual([
        `Warning ErrImageNeverPull: Container image "${image}" is not present with pull policy of Never`,
      ]);
    } else expect(result).toEqual({ id });
    expect(images.pulls).toEqual(expected === "pull" ? [image] : []);
  });

  test.each([
    ["app", 1],
    ["app:latest", 1],
    ["app:1.2", 0],
    ["registry.example:5000/app", 1],
    ["app@sha256:1234", 0],
  ])("%s without a policy is pulled %i times though it is here", async (name, count) => {
    images.present.set(name, { id });
    images.registry.set(name, { id });
    await ensure({ image: name });
    expect(images.pulls).toHaveLength(count);
  });
});

describe("Events are the kubelet's", () => {
  test("for an image that is pulled, and for one that is here", async () => {
    images.registry.set(image, { id });
    images.onPull = () => clock.advance(1500);
    await ensure({});
    await ensure({});
    expect(events).toEqual([
      `Normal Pulling: Pulling image "${image}"`,
      `Normal Pulled: Successfully pulled image "${image}" in 1.500s`,
      `Normal Pulled: Container image "${image}" already present on machine`,
    ]);
  });

  test("for a pull that fails, waits, and is made again when its time has come", async () => {
    expect(await refused()).toMatchObject({ reason: "ErrImagePull", message: "manifest unknown" });
    clock.advance(9_999);
    expect(await refused()).toMatchObject({
      reason: "ImagePullBackOff",
      message: `Back-off pulling image "${image}": ErrImagePull: manifest unknown`,
      retryAt: clock.now() + 1,
    });
    clock.advance(1);
    expect(await refused()).toMatchObject({ reason: "ErrImagePull" });
    clock.advance(19_999);
    expect(await refused()).toMatchObject({ reason: "ImagePullBackOff" });
    images.registry.set(image, { id });
    clock.advance(1);
    expect(await ensure({})).toEqual({ id });
    expect(events).toEqual([
      `Normal Pulling: Pulling image "${image}"`,
      `Warning Failed: Failed to pull image "${image}": manifest unknown`,
      `Normal BackOff: Back-off pulling image "${image}"`,
      `Normal Pulling: Pulling image "${image}"`,
      `Warning Failed: Failed to pull image "${image}": manifest unknown`,
      `Normal BackOff: Back-off pulling image "${image}"`,
      `Normal Pulling: Pulling image "${image}"`,
      `Normal Pulled: Successfully pulled image "${image}" in 0.000s`,
    ]);
  });

  test("for a name that is no image's", async () => {
    images.find = async () => {
      throw new HostletError("ImageUnavailable", "invalid reference format", { reason: "InvalidImageName" });
    };
    expect(await refused({ image: "BAD//" })).toMatchObject({
      reason: "InvalidImageName",
      message: `Failed to apply default image tag "BAD//": couldn't parse image name "BAD//": invalid reference format`,
    });
    expect(events.map((event) => event.split(":")[0])).toEqual(["Warning InspectFailed"]);
  });

  test("for a runtime that does not answer", async () => {
    images.find = async () => {
      throw new Error("connect ENOENT");
    };
    expect(await refused()).toMatchObject({
      reason: "ImageInspectError",
      message: `Failed to inspect image "${image}": connect ENOENT`,
    });
  });
});

describe("imagePullSecrets", () => {
  test("are read, and those for the image's registry are used", async () => {
    images.registry.set(image, { id });
    await ensure({}, { ...pod, spec: { containers: [], imagePullSecrets: [{ name: "login" }] } });
    expect(images.pulls).toEqual([`${image} ann`]);
  });

  test("that are missing are named, and the pull is tried without them", async () => {
    images.registry.set(image, { id });
    const imagePullSecrets = [{ name: "gone" }, { name: "lost" }];
    await ensure({}, { ...pod, spec: { containers: [], imagePullSecrets } });
    expect(events[0]).toBe(
      "Warning FailedToRetrieveImagePullSecret: Unable to retrieve some image pull secrets (gone, lost); attempting to pull the image may not succeed.",
    );
    expect(images.pulls).toEqual([image]);
  });
});

test("a pull that the pod's end breaks off is no failure", async () => {
  const abort = new AbortController();
  const reason = new Error("over");
  images.onPull = () => {
    abort.abort(reason);
    throw reason;
  };
  await expect(ensure({}, pod, abort.signal)).rejects.toBe(reason);
  expect(events).toEqual([`Normal Pulling: Pulling image "${image}"`]);
});

test("the back-off doubles up to five minutes, and starts over after a long quiet time", () => {
  let backoff = nextPull(undefined, 0);
  const delays = [backoff.delayMs];
  for (let i = 0; i < 6; i++) {
    backoff = nextPull(backoff, backoff.until);
    delays.push(backoff.delayMs);
  }
  expect(delays).toEqual([10, 20, 40, 80, 160, 300, 300].map((s) => s * 1000));
  expect(nextPull(backoff, backoff.until + 600_001).delayMs).toBe(10_000);
});
