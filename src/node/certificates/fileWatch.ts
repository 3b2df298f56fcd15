import { stat } from "node:fs/promises";
import type { Clock } from "../../clock.ts";

/** Files on a network file system tell nobody that they have changed. */
const everyMs = 10_000;

/**
 * Calls back when any of the files has changed since the last look, until the signal aborts: another inode, size or time. What
 * the callback throws is the caller's to log; it is then called again at the next look.
 */
export function watchFiles(
  files: readonly string[],
  { clock, signal, changed }: { clock: Clock; signal: AbortSignal; changed(): Promise<void> },
): void {
  let seen: string | undefined;
  let cancel = () => {};
  const look = async () => {
    const now = (await Promise.all(files.map(fingerprint))).join(" ");
    if (seen !== undefined && now !== seen && !signal.aborted) {
      await changed().then(
        () => {
          seen = now;
        },
        () => {},
      );
    } else {
      seen = now;
    }
    if (!signal.aborted) cancel = clock.after(everyMs, () => void look());
  };
  signal.addEventListener("abort", () => cancel(), { once: true });
  void look();
}

async function fingerprint(file: string): Promise<string> {
  try {
    const { ino, size, mtimeMs } = await stat(file);
    return `${ino}/${size}/${mtimeMs}`;
  } catch {
    return "none";
  }
}
