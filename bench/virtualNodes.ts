import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { paths } from "../src/kube/paths.ts";
import { memory } from "./proc.ts";
import type { Bench } from "./scenarios.ts";
import { type Figure, nowMs, round } from "./statistics.ts";

/** Many nodes in one process, idle: what one more of them costs. Built: dist/ is measured. */
export async function virtualNodes(bench: Bench): Promise<Figure[]> {
  const many = bench.quick ? 20 : 100;
  const [few, all] = [await measure(bench, 1), await measure(bench, many)];
  await Promise.all(all.names.concat(few.names).map((name) => bench.client.delete(paths.nodes(name)).catch(() => {})));
  const scenario = `${many} virtual nodes in one process`;
  return [
    { scenario, name: "start to all Ready", value: round(all.readyMs / 1000), unit: "s" },
    { scenario, name: "memory (RSS)", value: round(all.megabytes), unit: "MB" },
    {
      scenario,
      name: "memory of one more node",
      value: round((all.megabytes - few.megabytes) / (many - 1), 2),
      unit: "MB",
    },
  ];
}

async function measure({ directory, kubeconfig }: Bench, count: number) {
  const names = Array.from({ length: count }, (_, n) => `virtual${count}-${n}`);
  const home = join(directory, `virtual${count}`);
  const flags = ["--nodes", String(count), "--node-name", `virtual${count}`, "--kubeconfig", kubeconfig];
  const others = [
    "--self-signed",
    "--node-ip",
    "127.0.0.1",
    "--no-allocation",
    "--state-dir",
    home,
    "--pods-dir",
    join(home, "pods"),
  ];
  const begin = nowMs();
  const program = ["--max-semi-space-size=1", "bin/hostlet.js", "node", ...flags, ...others, "--log-level", "error"];
  const child = spawn(process.execPath, program, {
    stdio: ["ignore", "pipe", "inherit"],
    env: { PATH: process.env.PATH, HOME: home },
  });
  try {
    let said = "";
    for await (const chunk of child.stdout) {
      said += chunk;
      if (said.split(" is Ready at ").length > count) break;
    }
    if (said.split(" is Ready at ").length <= count) throw new Error(`the nodes did not start: ${said}`);
    const readyMs = nowMs() - begin;
    await new Promise((resolve) => setTimeout(resolve, 5_000));
    return { names, readyMs, megabytes: memory(child.pid!).rss };
  } finally {
    const exit = once(child, "exit");
    child.kill("SIGTERM");
    await exit;
  }
}
