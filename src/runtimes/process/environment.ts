/** The longest `NAME=value` or argument that Linux passes on (MAX_ARG_STRLEN), its closing NUL included. */
const longestString = 131_072;

/** What Linux passes on together, however large the stack may be: three quarters of 8 MiB. */
const mostTogether = 6 * 2 ** 20;

/** Why a command and its environment are more than any host passes on together; undefined where they may not be. */
export function explainTooMuch(argv: readonly string[], env: Readonly<Record<string, string>>): string | undefined {
  const bytes = (texts: readonly string[]) => texts.reduce((sum, text) => sum + Buffer.byteLength(text) + 1, 0);
  const total = bytes(argv) + bytes(Object.entries(env).map(([name, value]) => `${name}=${value}`));
  return total > mostTogether ? explainTotal(argv, env) : undefined;
}

/**
 * Why this command and environment can't be passed to a program, or undefined where nothing speaks against it. Names
 * what is wrong: the kernel only says E2BIG.
 */
export function explainUnpassable(argv: readonly string[], env: Readonly<Record<string, string>>): string | undefined {
  for (const [name, value] of Object.entries(env)) {
    if (name === "" || name.includes("=") || name.includes("\0") || value.includes("\0")) {
      return `the environment variable ${JSON.stringify(name)} can't be passed on: names are not empty and free of "=", and neither has a NUL character`;
    }
    const size = Buffer.byteLength(name) + Buffer.byteLength(value) + 2;
    if (size > longestString) return tooLarge(`the environment variable ${name}`, size);
  }
  for (const [index, argument] of argv.entries()) {
    if (argument.includes("\0"))
      return `argument ${index} of the command has a NUL character, which no program can be passed`;
    const size = Buffer.byteLength(argument) + 1;
    if (size > longestString) return tooLarge(`argument ${index} of the command`, size);
  }
  return undefined;
}

function tooLarge(what: string, size: number): string {
  return `${what} has ${size} bytes, and Linux passes on at most ${longestString}: mount it as a file instead`;
}

/** For an E2BIG that has no single culprit. */
export function explainTotal(argv: readonly string[], env: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(env).map(([name, value]) => ({ name, size: Buffer.byteLength(`${name}=${value}`) + 1 }));
  const total = [...argv.map((argument) => Buffer.byteLength(argument) + 1), ...pairs.map(({ size }) => size)];
  const largest = pairs.sort((a, b) => b.size - a.size)[0];
  return (
    `the command and its environment have ${total.reduce((a, b) => a + b, 0)} bytes together, more than this host passes on ` +
    `(usually 2 MiB, a quarter of the stack limit): mount large values as files instead` +
    (largest ? `; the largest is the environment variable ${largest.name}` : "")
  );
}
