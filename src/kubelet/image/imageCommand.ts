import { HostletError } from "../../errors.ts";
import type { Container } from "../../kube/types.ts";
import type { RuntimeImage } from "../../runtimes/images.ts";
import { expandArgs } from "../env/expansion.ts";

export interface ImageCommand {
  argv: string[];
  env: Record<string, string>;
  /** Undefined: the runtime's own choice. */
  workingDir?: string;
}

/**
 * What a container of a real image runs: `command` replaces the image's entrypoint and its command, `args` the command alone.
 * @param variables what `$(NAME)` sees
 * @param env the container's own variables, which override the image's
 * @throws {HostletError} CreateContainerFailed where neither says what to run
 */
export function imageCommand(
  container: Container,
  image: RuntimeImage,
  variables: Readonly<Record<string, string>>,
  env: Readonly<Record<string, string>>,
): ImageCommand {
  const { command, args } = expandArgs(container, variables);
  const argv =
    command.length > 0
      ? [...command, ...args]
      : [...(image.entrypoint ?? []), ...(args.length > 0 ? args : (image.command ?? []))];
  if (argv.length === 0) {
    const message = `no command specified: neither container "${container.name}" nor image "${container.image}" has one`;
    throw new HostletError("CreateContainerFailed", message, { reason: "CreateContainerError" });
  }
  const workingDir = container.workingDir || image.workingDir;
  return { argv, env: { ...image.env, ...env }, ...(workingDir && { workingDir }) };
}
