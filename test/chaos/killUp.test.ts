import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Pod } from "../../src/kube/types.ts";
import { random, seed } from "./support/random.ts";
import { Up } from "./support/up.ts";

const kills = Number(process.env.HOSTLET_KILLS ?? 20);
const podCount = 50;

let up: Up;

beforeEach(() => {
  up = new Up();
});

afterEach(() => up.stop());

function podNamed(index: number, seconds: number): Pod {
  const name = `p${index}`;
  const script = [
    `echo "start ${name}" >> ${up.journalFile}`,
    `sleep ${seconds}`,
    `echo "end ${name}" >> ${up.journalFile}`,
    `exit ${index % 5}`,
  ].join("; ");
  return {
    metadata: { name },
    spec: {
      restartPolicy: "Never",
      terminationGracePeriodSeconds: 1,
      containers: [{ name: "main", image: "none", command: ["sh", "-c", script] }],
    },
  };
}

test(`hostlet up killed -9 ${kills} times with ${podCount} pods loses none, runs none twice (seed ${seed})`, async () => {
  const next = random(seed);
  await up.spawn().ready;
  let created = 0;
  const createSome = async (count: number) => {
    for (let i = 0; i < count && created < podCount; i++, created++) {
      await up.create(podNamed(created, Math.round(next() * 80) / 10));
    }
  };
  for (let kill = 0; kill < kills; kill++) {
    // The kill falls into the creation of pods; every fourth also into the recovery after the one before.
    const whileStarting = kill % 4 === 3;
    const restarted = delay(Math.floor(next() * (whileStarting ? 600 : 400)))
      .then(() => up.kill())
      .then(() => {
        const { ready } = up.spawn();
        return (kill + 1) % 4 === 3 && kill + 1 < kills ? undefined : ready;
      });
    await Promise.all([restarted, whileStarting ? undefined : createSome(Math.ceil(podCount / kills))]);
  }
  await createSome(podCount);

  const ended = async () =>
    (await up.pods()).filter((pod) => pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed");
  let pods = await ended();
  for (let tries = 0; pods.length < podCount && tries < 200; tries++) {
    await delay(200);
    pods = await ended();
  }

  const told = pods.map(({ metadata, status }) => {
    const terminated = status?.containerStatuses?.[0]?.state?.terminated;
    return `${metadata?.name} ${status?.phase} ${terminated?.exitCode} ${terminated?.reason}`;
  });
  const expected = Array.from({ length: podCount }, (_, i) => {
    const code = i % 5;
    return `p${i} ${code === 0 ? "Succeeded" : "Failed"} ${code} ${code === 0 ? "Completed" : "Error"}`;
  });
  expect(told.sort()).toEqual(expected.sort());

  const once = Array.from({ length: podCount }, (_, i) => [`start p${i}`, `end p${i}`]).flat();
  expect(up.journal().sort()).toEqual(once.sort());
  expect(await up.leave()).toEqual([]);
});
