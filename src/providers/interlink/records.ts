import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Pod, PodStatus } from "../../kube/types.ts";

/** What the node must remember of a pod that runs elsewhere. */
export interface PodRecord {
  version: 1;
  pod: Pod;
  /** ms */
  startedAt: number;
  /** A create was on its way: the far end may have the pod. Written before the first one is sent. */
  sent: boolean;
  /** The far end's name of the pod; there since its create was answered. */
  jobID?: string;
  /** Nothing of the pod is left at the far end. */
  removed?: boolean;
  status?: PodStatus;
}

/** One file a pod in a directory of the node's own, written whole and renamed. */
export class PodRecords {
  readonly #dir: string;

  constructor(stateDir: string) {
    this.#dir = join(stateDir, "interlink");
  }

  list(): { records: PodRecord[]; broken: string[] } {
    mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
    const records: PodRecord[] = [];
    const broken: string[] = [];
    for (const name of readdirSync(this.#dir)) {
      if (!name.endsWith(".json")) {
        rmSync(join(this.#dir, name), { force: true }); // an agent was killed before the rename
        continue;
      }
      try {
        records.push(JSON.parse(readFileSync(join(this.#dir, name), "utf8")) as PodRecord);
      } catch {
        broken.push(name);
      }
    }
    return { records, broken };
  }

  write(uid: string, record: PodRecord): void {
    const file = join(this.#dir, `${uid}.json`);
    writeFileSync(`${file}.new`, JSON.stringify(record), { mode: 0o600 });
    renameSync(`${file}.new`, file);
  }

  remove(uid: string): void {
    rmSync(join(this.#dir, `${uid}.json`), { force: true });
  }
}
