import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Container, ContainerStatus, Pod } from "../../src/kube/types.ts";
import { random, seed } from "./support/random.ts";
import { Up } from "./support/up.ts";

const kills = Number(process.env.HOSTLET_KILLS ?? 25);
const podCount = Number(process.env.HOSTLET_PODS ?? 100);
/** Of processes that have left their group, their session and their environment; nobody else sleeps so long. */
const daemon = `86${100 + (process.pid % 800)}.25`;

let up: Up;

beforeEach(() => {
  up = new Up();
});

afterEach(() => up.stop());

/** A kind of pod, by its index. Every container writes into the journal when it starts and how it ends. */
interface Life {
  pod: Pod;
  phase: "Succeeded" | "Failed";
  /** How often each container starts, and its last exit code; undefined: whenever it is ended. */
  containers: Record<string, { starts: number; exitCode?: number }>;
}

function shell(pod: string, name: string, script: string, rest: Partial<Container> = {}): Container {
  const write = (what: string) => `echo "${what} ${pod}/${name}" >> ${up.journalFile}`;
  return {
    name,
    image: "none",
    command: ["sh", "-c", `${write("start")}; ${script.replaceAll("END", write("end"))}`],
    ...rest,
  };
}

function lifeOf(index: number, next: () => number): Life {
  const name = `p${index}`;
  const nap = () => `sleep ${(0.1 + next() * 4).toFixed(1)}`;
  const done = (code: number) => `${nap()}; END; exit ${code}`;
  const ofSpec = (spec: Partial<NonNullable<Pod["spec"]>>): Pod => ({
    metadata: { name },
    spec: { restartPolicy: "Never", terminationGracePeriodSeconds: 2, containers: [], ...spec },
  });
  const main = (script: string) => [shell(name, "main", script)];
  const inits = (code: number) => [shell(name, "one", done(0)), shell(name, "two", done(code))];
  switch (index % 7) {
    case 0:
      return {
        pod: ofSpec({ initContainers: inits(0), containers: main(done(3)) }),
        phase: "Failed",
        containers: {
          one: { starts: 1, exitCode: 0 },
          two: { starts: 1, exitCode: 0 },
          main: { starts: 1, exitCode: 3 },
        },
      };
    case 1:
      return {
        pod: ofSpec({ initContainers: inits(4), containers: main(done(0)) }),
        phase: "Failed",
        containers: { one: { starts: 1, exitCode: 0 }, two: { starts: 1, exitCode: 4 } },
      };
    case 2: {
      const side = shell(name, "side", "trap 'END; exit 0' TERM; while :; do sleep 0.1; done", {
        restartPolicy: "Always",
      });
      return {
        pod: ofSpec({ initContainers: [side], containers: main(done(0)) }),
        phase: "Succeeded",
        containers: { side: { starts: 1, exitCode: 0 }, main: { starts: 1, exitCode: 0 } },
      };
    }
    case 3:
      // Fails once, and is started again at once.
      return {
        pod: ofSpec({
          restartPolicy: "OnFailure",
          containers: main(`test -e once && { ${done(0)}; }; touch once; ${done(5)}`),
        }),
        phase: "Succeeded",
        containers: { main: { starts: 2, exitCode: 0 } },
      };
    case 4:
      // Leaves a daemon behind, without its environment, in a session of its own.
      return {
        pod: ofSpec({ containers: main(`env -i setsid sleep ${daemon} >/dev/null 2>&1 & ${done(6)}`) }),
        phase: "Failed",
        containers: { main: { starts: 1, exitCode: 6 } },
      };
    case 5:
      // Forks without end, for a while, and ignores what it is asked.
      return {
        pod: ofSpec({
          containers: main(`trap '' TERM; for i in 1 2 3 4 5 6 7 8 9; do sleep 0.2 & done; ${done(7)}`),
        }),
        phase: "Failed",
        containers: { main: { starts: 1, exitCode: 7 } },
      };
    default:
      // Becomes another program, with nothing in its environment.
      return {
        pod: ofSpec({ containers: main(`END; exec env -i sleep ${(0.1 + next() * 3).toFixed(1)}`) }),
        phase: "Succeeded",
        containers: { main: { starts: 1, exitCode: 0 } },
      };
  }
}

/** Pods that have nothing more to do, by their own word. */
function overByJournal(): string[] {
  return up.journal().flatMap((line) => {
    const [, name = "", index] = /^end (p(\d+))\/main$/.exec(line) ?? [];
    return index !== undefined && [0, 4, 5].includes(Number(index) % 7) ? [name] : [];
  });
}

/** @returns ms until the API says of every pod that is over that it is */
async function untilTrue(): Promise<number> {
  const names = overByJournal();
  const begin = performance.now();
  for (let tries = 0; tries < 600; tries++) {
    const over = new Set((await up.pods()).filter(isOver).map(({ metadata }) => metadata?.name));
    if (names.every((name) => over.has(name))) return performance.now() - begin;
    await delay(50);
  }
  throw new Error("the API does not say which pods are over");
}

const isOver = ({ status }: Pod) => status?.phase === "Succeeded" || status?.phase === "Failed";

test(`killed -9 ${kills} times within ${podCount} pods' lives, the API says of each what the pod itself says (seed ${seed})`, async () => {
  const next = random(seed);
  const lives = new Map(Array.from({ length: podCount }, (_, i) => [`p${i}`, lifeOf(i, next)]));
  const waiting = [...lives.values()];
  await up.spawn().ready;
  const createUntil = async (share: number) => {
    const count = Math.ceil(podCount * share) - (podCount - waiting.length);
    for (const { pod } of waiting.splice(0, count)) await up.create(pod);
  };
  let slowest = 0;
  for (let kill = 0; kill < kills; kill++) {
    const creating = createUntil((kill + 1) / kills);
    await delay(Math.floor(next() * 1200));
    await up.kill();
    const { ready } = up.spawn();
    // Every fifth falls into the recovery after the one before.
    if (kill % 5 !== 4 || kill + 1 === kills) await ready;
    await creating;
    if (kill % 5 === 3 || kill + 1 === kills) slowest = Math.max(slowest, await untilTrue());
  }
  console.log(`after a restart that was Ready the API told the truth within ${Math.round(slowest)} ms`);

  let pods = await up.pods();
  for (let tries = 0; !pods.every(isOver) && tries < 300; tries++) {
    await delay(200);
    pods = await up.pods();
  }
  const said = new Map(pods.map((pod) => [pod.metadata!.name!, pod]));
  const statuses = ({ status }: Pod): ContainerStatus[] => [
    ...(status?.initContainerStatuses ?? []),
    ...(status?.containerStatuses ?? []),
  ];
  const told = [...lives].flatMap(([name, { containers }]) => {
    const pod = said.get(name);
    const of = Object.keys(containers).map((container) => {
      const status = pod && statuses(pod).find((s) => s.name === container);
      return `${name}/${container} ${(status?.restartCount ?? Number.NaN) + 1} ${status?.state?.terminated?.exitCode}`;
    });
    return [`${name} ${pod?.status?.phase}`, ...of];
  });
  const expected = [...lives].flatMap(([name, { phase, containers }]) => [
    `${name} ${phase}`,
    ...Object.entries(containers).map(([c, { starts, exitCode }]) => `${name}/${c} ${starts} ${exitCode}`),
  ]);
  expect(told).toEqual(expected);

  const starts = [...lives].flatMap(([name, { containers }]) =>
    Object.entries(containers).flatMap(([c, { starts: count }]) => Array<string>(count).fill(`${name}/${c}`)),
  );
  const journal = up.journal();
  for (const word of ["start", "end"]) {
    const lines = journal.filter((line) => line.startsWith(`${word} `)).map((line) => line.slice(word.length + 1));
    expect([word, ...lines.sort()]).toEqual([word, ...starts.sort()]);
  }
  expect(await up.leave([`sleep ${daemon}`])).toEqual([]);
});
