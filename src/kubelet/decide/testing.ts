import type { Container, Pod, PodSpec } from "../../kube/types.ts";
import type { RuntimeContainer } from "../../runtimes/contract.ts";
import { type ContainerView, containerKinds, type PodView } from "./view.ts";

/** Table tests start at this moment; times in them are seconds after it. */
export const t0 = Date.parse("2026-01-01T00:00:00Z");

/** `running`, `running since 30`, `exit 3`, `exit 0 at 20`, `exit 137 at 20 started 5`; an attempt a string. */
export function attempt(name: string, index: number, text: string): RuntimeContainer {
  const words = text.split(" ");
  const number = (word: string, otherwise: number) => {
    const at = words.indexOf(word);
    return at < 0 ? otherwise : Number(words[at + 1]);
  };
  const base = { id: { podUID: "uid-1", container: name, attempt: index }, restartCount: index };
  const containerID = `process://uid-1/${name}/${index}`;
  if (words[0] === "running") return { ...base, containerID, startedAt: t0 + number("since", 0) * 1000 };
  const exitCode = number("exit", 0);
  const startedAt = t0 + number("started", 0) * 1000;
  return {
    ...base,
    containerID,
    startedAt,
    exit: {
      exitCode,
      reason: exitCode === 0 ? "Completed" : "Error",
      startedAt,
      finishedAt: t0 + number("at", 1) * 1000,
    },
  };
}

export interface ViewTable {
  spec?: Partial<PodSpec>;
  init?: (Partial<Container> & { name: string })[];
  main?: (Partial<Container> & { name: string })[];
  /** Attempts by container. */
  have?: Record<string, string[]>;
  /** Seconds after t0. */
  now?: number;
  metadata?: Pod["metadata"];
  status?: Pod["status"];
  view?: Partial<PodView>;
  containers?: Record<string, Partial<ContainerView>>;
}

/** A PodView from a few words. Without `main` there is one container `main`. */
export function viewOf(table: ViewTable): PodView {
  const pod: Pod = {
    metadata: { namespace: "default", name: "p", uid: "uid-1", ...table.metadata },
    spec: {
      ...(table.init && { initContainers: table.init }),
      containers: table.main ?? [{ name: "main" }],
      ...table.spec,
    },
    ...(table.status && { status: table.status }),
  };
  return {
    pod,
    now: t0 + (table.now ?? 60) * 1000,
    startedAt: t0,
    ready: true,
    containers: containerKinds(pod).map(({ spec, kind }) => ({
      spec,
      kind,
      attempts: (table.have?.[spec.name] ?? []).map((text, index) => attempt(spec.name, index, text)),
      starting: false,
      ...table.containers?.[spec.name],
    })),
    ...table.view,
  };
}
