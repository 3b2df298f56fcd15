/**
 * The part of the node's own environment that containers get: the names that the list has, `*` at the end of one stands
 * for any rest. What is not listed stays the node's: its credentials above all.
 */
export function inheritedEnv(
  environment: Readonly<Record<string, string | undefined>>,
  list: readonly string[],
): Record<string, string> {
  const exact = new Set(list.filter((name) => !name.endsWith("*")));
  const prefixes = list.filter((name) => name.endsWith("*")).map((name) => name.slice(0, -1));
  const inherited: Record<string, string> = {};
  for (const [name, value] of Object.entries(environment)) {
    if (value === undefined) continue;
    if (exact.has(name) || prefixes.some((prefix) => name.startsWith(prefix))) inherited[name] = value;
  }
  return inherited;
}
