import { afterEach, beforeEach, expect, test } from "vitest";
import type { Pod } from "../../kube/types.ts";
import { FakeImages } from "../../kubelet/image/testImages.ts";
import { ManualClock } from "../../testing/manualClock.ts";
import { turns, until } from "../../testing/turns.ts";
import { FakeNode, makePod } from "./testing/fakeNode.ts";

let clock: ManualClock;
let images: FakeImages;
let node: FakeNode;

beforeEach(async () => {
  clock = new ManualClock();
  images = new FakeImages();
  node = new FakeNode(clock, "namespace", images);
  await node.provider.recover();
});
afterEach(async () => {
  await node.dispose();
  expect(clock.pending).toBe(0);
});

const id = "registry.example/app@sha256:12";
const podOf = (imagePullPolicy: "Always" | "Never" = "Always") =>
  makePod({ containers: [{ name: "main", image: "registry.example/app:1", imagePullPolicy }] });
const waiting = (pod: Pod) => node.updatesOf(pod).at(-1)?.status.containerStatuses?.[0]?.state?.waiting;

test("a pod waits for its image, says how it fares, and runs once it is there", async () => {
  images.registry.set("registry.example/app:1", new Error("no route to host"));
  const pod = podOf();
  node.provider.create(pod);
  await until(() => node.said(pod) === "Pending main=ErrImagePull");
  expect(waiting(pod)?.message).toBe("no route to host");
  clock.advance(1000);
  await until(() => node.said(pod) === "Pending main=ImagePullBackOff");
  expect(waiting(pod)?.message).toContain('Back-off pulling image "registry.example/app:1"');
  images.registry.set("registry.example/app:1", { id });
  clock.advance(8999);
  await turns();
  expect(images.pulls).toHaveLength(1);
  clock.advance(1);
  await until(() => node.said(pod) === "Running main=running");
  expect(node.updatesOf(pod).at(-1)?.status.containerStatuses?.[0]?.imageID).toBe(id);
  const failed = node.events.filter(({ reason }) => reason === "Failed").map(({ message }) => message);
  expect(failed).toEqual([
    'Failed to pull image "registry.example/app:1": no route to host',
    "Error: ErrImagePull",
    "Error: ImagePullBackOff",
  ]);
});

test("a pod whose image must not be pulled says so", async () => {
  const pod = podOf("Never");
  node.provider.create(pod);
  await until(() => node.said(pod) === "Pending main=ErrImageNeverPull");
  expect(images.pulls).toEqual([]);
});

test("the end of a pod breaks its pull off, and nothing is started", async () => {
  images.registry.set("registry.example/app:1", { id });
  images.onPull = (_image, signal) =>
    new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  const pod = podOf();
  node.provider.create(pod);
  await until(() => images.pulls.length === 1);
  node.provider.delete(pod, 30);
  await until(() => node.isGone(pod));
  expect(node.host.starts).toEqual([]);
  expect(node.reasons()).not.toContain("Failed");
});
