/**
 * Replaces `$(NAME)` by the variable's value, as Kubernetes does it in values, commands and arguments: an unknown name
 * and an unclosed reference stay as they are, `$$` is a dollar sign that begins no reference.
 * @param lookup undefined: there is no such variable
 */
export function expand(text: string, lookup: (name: string) => string | undefined): string {
  // After the last ")" nothing is a reference; looking for its end from each "$(" there would take quadratic time.
  const end = text.lastIndexOf(")") + 1;
  const expanded = text
    .slice(0, end)
    .replace(/\$(?:\$|\(([^)]*)\))/g, (reference, name: string | undefined) =>
      name === undefined ? "$" : (lookup(name) ?? reference),
    );
  return expanded + text.slice(end).replaceAll("$$", () => "$");
}

/** Looks names up in plain records, the first that has it. */
export function lookupIn(...records: Readonly<Record<string, string>>[]): (name: string) => string | undefined {
  return (name) => records.find((record) => Object.hasOwn(record, name))?.[name];
}

/**
 * Command and arguments with their references replaced.
 * @param variables what `resolveEnv` gives as `variables`: what is inherited from the host can't be referred to
 */
export function expandArgs(
  container: { command?: string[]; args?: string[] },
  variables: Readonly<Record<string, string>>,
): { command: string[]; args: string[] } {
  const lookup = lookupIn(variables);
  const all = (texts: string[] | undefined) => (texts ?? []).map((text) => expand(text, lookup));
  return { command: all(container.command), args: all(container.args) };
}
