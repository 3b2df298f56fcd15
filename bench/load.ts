import type { KubeClient } from "../src/kube/client.ts";
import { paths } from "../src/kube/paths.ts";
import type { ConfigMap, Pod } from "../src/kube/types.ts";

export const namespace = "default";

/** Runs `task` for each item, at most `width` at a time. */
export async function each<T>(items: T[], width: number, task: (item: T) => Promise<unknown>): Promise<void> {
  const rest = items[Symbol.iterator]();
  const worker = async () => {
    for (const item of rest) await task(item);
  };
  await Promise.all(Array.from({ length: width }, worker));
}

/** Calls `task` for each item, `perSecond` times a second by the clock, however long each of them takes. */
export async function paced<T>(items: T[], perSecond: number, task: (item: T) => Promise<unknown>): Promise<void> {
  const begin = performance.now();
  const running = items.map(async (item, i) => {
    const due = begin + (i * 1000) / perSecond;
    await new Promise((resolve) => setTimeout(resolve, due - performance.now()));
    await task(item);
  });
  await Promise.all(running);
}

export function names(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${prefix}-${i}`);
}

export async function createConfigMaps(client: KubeClient, wanted: string[]): Promise<void> {
  await each(wanted, 16, (name) =>
    client.create<ConfigMap>(paths.configMaps(namespace), {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name, namespace },
      data: { "greeting.txt": `hello, ${name}\n`, "run.sh": "echo run\n" },
    }),
  );
}

export interface PodWish {
  name: string;
  nodeName: string;
  command: string[];
  env?: Record<string, string>;
  /** Mounted at /config. */
  configMap?: string;
}

export function podOf({ name, nodeName, command, env = {}, configMap }: PodWish): Pod {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace, labels: { app: "bench" } },
    spec: {
      nodeName,
      restartPolicy: "Never",
      automountServiceAccountToken: false,
      tolerations: [{ operator: "Exists" }],
      containers: [
        {
          name: "main",
          image: "none",
          command,
          env: Object.entries(env).map(([key, value]) => ({ name: key, value })),
          ...(configMap ? { volumeMounts: [{ name: "config", mountPath: "/config" }] } : {}),
        },
      ],
      ...(configMap ? { volumes: [{ name: "config", configMap: { name: configMap } }] } : {}),
    },
  };
}

export async function createPod(client: KubeClient, wish: PodWish): Promise<void> {
  await client.create(paths.pods(namespace), podOf(wish));
}

export async function deletePod(client: KubeClient, name: string, gracePeriodSeconds?: number): Promise<void> {
  const options = gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds };
  await client.delete(paths.pods(namespace, name), options);
}
