import fc from "fast-check";
import { expect, test } from "vitest";
import { checkImageName, fullName, imagePath } from "./imageNames.ts";
import { PullProgress } from "./pullProgress.ts";
import { findEngineSocket } from "./socket.ts";

test.each([
  ["busybox", "docker.io/library/busybox:latest"],
  ["team/app:1", "docker.io/team/app:1"],
  ["localhost:5000/a/b", "localhost:5000/a/b:latest"],
  [`registry.example/a@sha256:${"1".repeat(64)}`, `registry.example/a@sha256:${"1".repeat(64)}`],
  [`sha256:${"1".repeat(64)}`, `sha256:${"1".repeat(64)}`],
])("%s in full", (image, expected) => {
  expect(fullName(image)).toBe(expected);
  expect(() => checkImageName(image)).not.toThrow();
});

test.each(["", "UPPER", "a b", "a//b", "a:", "../x", "-a", "a@sha256:12", "a?b=c", "x".repeat(600)])(
  "%j is no image",
  (image) => {
    expect(() => checkImageName(image)).toThrow("invalid reference format");
  },
);

test("no name leaves its place in a path of the API", () => {
  fc.assert(
    fc.property(fc.string(), (image) => {
      expect(imagePath(image)).not.toMatch(/[?#\s]/);
    }),
  );
});

test("a pull that takes long says how far it is, now and then", () => {
  let now = 0;
  const said: string[] = [];
  const progress = new PullProgress(
    "app",
    (message) => said.push(message),
    () => now,
  );
  progress.took({ id: "a", status: "Downloading", progressDetail: { current: 1e6, total: 4e6 } });
  now = 30_000;
  progress.took({ id: "b", status: "Downloading", progressDetail: { current: 1e6, total: 6e6 } });
  progress.took({ id: "b", status: "Downloading", progressDetail: { current: 2e6, total: 6e6 } });
  expect(said).toEqual(['Pulling image "app": 2.0 MB of 10.0 MB']);
});

test.each([
  ["the option", "unix:///a", { DOCKER_HOST: "unix:///b" }, [], "/a"],
  ["DOCKER_HOST", undefined, { DOCKER_HOST: "unix:///b" }, [], "/b"],
  [
    "Docker's",
    undefined,
    { XDG_RUNTIME_DIR: "/r" },
    ["/var/run/docker.sock", "/r/podman/podman.sock"],
    "/var/run/docker.sock",
  ],
  [
    "the user's Podman",
    undefined,
    { XDG_RUNTIME_DIR: "/r" },
    ["/r/podman/podman.sock", "/run/podman/podman.sock"],
    "/r/podman/podman.sock",
  ],
  ["root's Podman", undefined, {}, ["/run/podman/podman.sock"], "/run/podman/podman.sock"],
])("the engine's socket: %s", (_what, given, env, there, expected) => {
  expect(findEngineSocket(given, env, (path) => (there as string[]).includes(path))).toBe(expected);
});

test("an engine by TCP is refused, and none at all is said", () => {
  expect(() => findEngineSocket("tcp://127.0.0.1:2375", {})).toThrow(/--docker-host: must be unix/);
  expect(() => findEngineSocket(undefined, {}, () => false)).toThrow(/no container engine's socket at .*podman.sock/);
});
