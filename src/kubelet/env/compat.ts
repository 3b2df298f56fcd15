/**
 * The predecessors' habit: `~` and `$HOME` in a value stand for the home directory. `~` only where a shell would see it
 * (at the beginning, after white space, `:`, `=` or `,`, and before `/` or an end), so that `https://host/~user` and `a~b` stay; `$HOME` also as `${HOME}`,
 * not as part of a longer name, and not escaped as `$$HOME`.
 * @param home undefined: nothing is replaced
 */
export function expandHome(value: string, home: string | undefined): string {
  if (home === undefined) return value;
  return value.replace(/(?<=^|[\s:=,])~(?=$|[\s/:,])|(?<!\$)\$(?:HOME(?![A-Za-z0-9_])|\{HOME\})/g, () => home);
}
