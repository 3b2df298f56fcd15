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

/** What tells whose session it is, and would be wrong for another user. */
const personal = ["HOME", "USER", "LOGNAME", "SHELL", "XDG_RUNTIME_DIR", "TMPDIR"];

/** The inherited environment for another user than the agent's: its own name, home and shell. */
export function environmentOf(
  { host }: { host: { name: string; home: string; shell: string } | undefined },
  inherited: Readonly<Record<string, string>>,
  otherwiseHome: string,
): Record<string, string> {
  const rest = Object.entries(inherited).filter(([name]) => !personal.includes(name));
  const environment = { ...Object.fromEntries(rest), HOME: host?.home || otherwiseHome };
  return host ? { ...environment, USER: host.name, LOGNAME: host.name, SHELL: host.shell || "/bin/sh" } : environment;
}
