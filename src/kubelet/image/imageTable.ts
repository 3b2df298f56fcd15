/** What stands for an image on a host that has none, as the configuration has it. */
export interface ImageTableEntry {
  /** The image's name; `*` at the end stands for any rest. */
  match: string;
  entrypoint?: string[];
  command?: string[];
  env?: Record<string, string>;
  workingDir?: string;
}

/** The first entry that matches. */
export function findImage<Entry extends ImageTableEntry>(table: readonly Entry[], image: string): Entry | undefined {
  return table.find(({ match }) => (match.endsWith("*") ? image.startsWith(match.slice(0, -1)) : image === match));
}
