import { describe, expect, it } from "vitest";
import type { Event, Pod, Status } from "../../src/kube/types.ts";
import { withKubelet } from "./support/fakeKubelet.ts";
import { events, pod, pods, readyNode, start } from "./support/wire.ts";

describe("the scheduler", () => {
  it("binds a pod as soon as a node fits, and tells both in Events", async () => {
    const { wire } = await start();
    const watch = wire.watch(`${events}?watch=true`);
    await wire.post(pods, pod("a", { nodeSelector: { "kubernetes.io/role": "agent" } }));
    const seen = async () => (await watch.next())?.object as unknown as Event;
    expect(await seen()).toMatchObject({
      type: "Warning",
      reason: "FailedScheduling",
      message: "no nodes available to schedule pods",
    });
    await wire.post("/api/v1/nodes", readyNode("n1"));
    expect(await seen()).toMatchObject({
      type: "Normal",
      reason: "Scheduled",
      message: "Successfully assigned default/a to n1",
    });
    const { body } = await wire.get<Pod>(`${pods}/a`);
    expect(body.spec?.nodeName).toBe("n1");
    expect(body.status?.conditions).toMatchObject([{ type: "PodScheduled", status: "True" }]);
    watch.close();
  });

  it("leaves a gated pod alone until its gates are gone", async () => {
    const { wire } = await start();
    await wire.post("/api/v1/nodes", readyNode("n1"));
    const made = (await wire.post<Pod>(pods, pod("a", { schedulingGates: [{ name: "g" }] }))).body;
    expect(made.status?.conditions).toMatchObject([
      { type: "PodScheduled", status: "False", reason: "SchedulingGated" },
    ]);
    const watch = wire.watch(`${pods}?watch=true&fieldSelector=spec.nodeName%3Dn1`);
    await wire.call(
      "PATCH",
      `${pods}/a`,
      [{ op: "remove", path: "/spec/schedulingGates" }],
      "application/json-patch+json",
    );
    expect(await watch.types(1)).toEqual(["ADDED a"]);
    watch.close();
  });

  it("may be done by hand, once", async () => {
    const { wire } = await start();
    await wire.post(pods, pod("a", { schedulerName: "mine" }));
    const binding = { metadata: { name: "a" }, target: { kind: "Node", name: "n" } };
    expect((await wire.post(`${pods}/a/binding`, binding)).code).toBe(201);
    expect((await wire.post(`${pods}/a/binding`, binding)).body.message).toContain(
      'pod a is already assigned to node "n"',
    );
    expect((await wire.post(`${pods}/a/eviction`, { metadata: { name: "a" } })).code).toBe(201);
    expect((await wire.get<Pod>(`${pods}/a`)).body.metadata?.deletionTimestamp).toBeDefined();
  });
});

describe("a pod's log", () => {
  it("is streamed from the node, and ends there when the reader goes", async () => {
    let gone = () => {};
    const left = new Promise<void>((resolve) => {
      gone = resolve;
    });
    const { wire } = await withKubelet({
      request(path, response) {
        response.on("close", gone);
        response.write(`${path}\n`);
      },
    });
    const log = wire.lines(`${pods}/a/log?container=d&follow=true&tailLines=5`);
    expect(await log.next()).toBe("/containerLogs/default/a/d?follow=true&tailLines=5&stream=All");
    log.close();
    await left;
  });

  it("passes on why there is none", async () => {
    const why = 'container "c" in pod "a" is waiting to start: ContainerCreating';
    const { wire } = await withKubelet({ request: (_path, response) => response.writeHead(400).end(`${why}\n`) });
    expect((await wire.get(`${pods}/a/log?container=c`)).body).toMatchObject({
      code: 400,
      reason: "BadRequest",
      message: why,
    });
    expect((await wire.get<Status>(`${pods}/a/log`)).body.message).toBe(
      "a container name must be specified for pod a, choose one of: [c d]",
    );
    expect((await wire.get<Status>(`${pods}/a/log?container=e`)).body.message).toBe(
      "container e is not valid for pod a",
    );
    expect((await wire.get<Status>(`${pods}/a/log?container=c&tailLines=-1`)).code).toBe(422);
  });
});
