import { accessSync, closeSync, constants, openSync, readSync, statSync } from "node:fs";
import { isAbsolute, join, resolve } from "node:path";
import type { CannotRun, Executable } from "./contract.ts";

/** Where a container's environment has no PATH: what container runtimes use then. */
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Where on this host a path is that the command's own root has; undefined: nowhere. */
export type Locate = (path: string) => string | undefined;

type Found = "executable" | "directory" | "denied" | "missing";

/**
 * Finds the file that a command means on this host: by PATH where it has no slash, else relative to the working
 * directory. Knowing it before the start makes a message that helps; the execve itself still decides.
 */
export function findExecutable(
  argv: readonly string[],
  path: string | undefined,
  workingDir: string,
  locate: Locate = (at) => at,
): Executable | CannotRun {
  const name = argv[0] ?? "";
  if (name === "") return { exitCode: 127, message: 'exec: "": the command is empty: set command in the container' };
  if (name.includes("/")) return executableAt(argv, name, resolve(workingDir, name), locate);
  let denied: string | undefined;
  for (const dir of (path ?? defaultPath).split(":")) {
    // An empty element of PATH is the working directory, as in every shell.
    const file = join(isAbsolute(dir) ? dir : resolve(workingDir, dir), name);
    const found = look(locate(file));
    if (found === "executable") return executableAt(argv, name, file, locate);
    if (found === "denied") denied ??= file;
  }
  if (denied) return notExecutable(name, denied);
  return {
    exitCode: 127,
    message:
      `exec: ${JSON.stringify(name)}: executable file not found in $PATH (${path ?? defaultPath}): ` +
      "install it, or give an absolute path in command",
  };
}

function executableAt(argv: readonly string[], name: string, file: string, locate: Locate): Executable | CannotRun {
  switch (look(locate(file))) {
    case "missing":
      return {
        exitCode: 127,
        message: `exec: ${JSON.stringify(name)}: ${file}: no such file: check command and the volumes' mountPaths`,
      };
    case "directory":
      return {
        exitCode: 126,
        message: `exec: ${JSON.stringify(name)}: ${file} is a directory: name a file in command`,
      };
    case "denied":
      return notExecutable(name, file);
    case "executable":
      return missingInterpreter(name, file, locate) ?? { file, argv: [...argv] };
  }
}

function notExecutable(name: string, file: string): CannotRun {
  return {
    exitCode: 126,
    message:
      `exec: ${JSON.stringify(name)}: permission denied: ${file} is not executable: ` +
      "give it the exec bit (defaultMode: 0755 in a volume), or run it by its interpreter, as in command: [bash, ...]",
  };
}

function look(file: string | undefined): Found {
  if (file === undefined) return "missing";
  try {
    const stat = statSync(file);
    if (stat.isDirectory()) return "directory";
    accessSync(file, constants.X_OK);
    return stat.isFile() ? "executable" : "denied";
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EACCES" ? "denied" : "missing";
  }
}

/** The kernel says "no such file" of a script whose interpreter is missing, which points everybody at the script. */
function missingInterpreter(name: string, file: string, locate: Locate): CannotRun | undefined {
  const interpreter = readInterpreter(locate(file) ?? file);
  if (interpreter === undefined || look(locate(resolve("/", interpreter))) !== "missing") return undefined;
  const hint = interpreter.endsWith("\r")
    ? "the file has Windows line ends (CRLF): save it with LF"
    : "install it, or run the script by another interpreter in command";
  return {
    exitCode: 127,
    message: `exec: ${JSON.stringify(name)}: the interpreter ${JSON.stringify(interpreter)} in the first line of ${file} does not exist: ${hint}`,
  };
}

function readInterpreter(file: string): string | undefined {
  const head = Buffer.alloc(256);
  let length: number;
  try {
    const fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      length = readSync(fd, head, 0, head.length, 0);
    } finally {
      closeSync(fd);
    }
  } catch {
    return undefined; // executable but not readable: the kernel knows
  }
  return /^#![ \t]*([^ \t\n]+)/.exec(head.toString("utf8", 0, length))?.[1];
}
