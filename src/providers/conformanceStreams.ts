import { createServer } from "node:net";
import type { Readable } from "node:stream";
import { describe, expect, type TestContext } from "vitest";
import { type Pod, podRef } from "../kube/types.ts";
import type { ContainerStreams } from "../runtimes/streams.ts";
import { type ProviderSession, scriptPod } from "./conformanceSession.ts";
import type { ProviderCapabilities } from "./contract.ts";

type Rule = (title: string, body: (context: TestContext) => Promise<void>) => void;

/** The part of a Provider's conformance that is about streams into its pods; a case is left out with the Provider's own reason. */
export function streamsRules(
  rule: Rule,
  current: () => ProviderSession,
  start: (script?: string) => Promise<Pod>,
): void {
  const { signal } = new AbortController();
  const needs = ({ skip }: TestContext, ability: keyof ProviderCapabilities) => {
    const able = current().provider.capabilities()[ability];
    if (able !== true) skip(able);
  };
  const exec = (pod: Pod, script: string, container = "main") => {
    const request = { argv: ["/bin/sh", "-c", script], stdin: true, tty: false };
    return current().provider.exec!(podRef(pod), container, request, signal);
  };

  describe("streams", () => {
    rule("exec tells output, input and exit code of a command", async (context) => {
      needs(context, "exec");
      const streams = await exec(await start(), 'read line; echo "got $line"; echo err >&2; exit 7');
      streams.stdin!.end("a line\n");
      expect(await collect(streams)).toEqual({ stdout: "got a line\n", stderr: "err\n", end: { exitCode: 7 } });
    });

    rule("exec works in a pod of an earlier agent", async (context) => {
      needs(context, "exec");
      const pod = await start();
      await current().nextAgent();
      expect((await collect(await exec(pod, "echo again"))).stdout).toBe("again\n");
    });

    rule("exec of what does not exist, or has ended, is NotFound, in words", async (context) => {
      needs(context, "exec");
      const pod = await start();
      await expect(exec(scriptPod("true"), "true")).rejects.toMatchObject({ code: "NotFound" });
      await expect(exec(pod, "true", "other")).rejects.toThrow(/container other is not valid for pod/);
      const ended = scriptPod("exit 0");
      current().provider.create(ended);
      await current().phase(ended, "Succeeded");
      await expect(exec(ended, "true")).rejects.toThrow(/container "main" in pod ".*" is not running/);
    });

    rule("attach gives what a container writes from now on, and no input where it takes none", async (context) => {
      needs(context, "attach");
      const pod = await start("while :; do echo tick; sleep 0.05; done");
      const streams = await current().provider.attach!(podRef(pod), "main", { stdin: true }, signal);
      expect(streams.stdin).toBeUndefined();
      for await (const chunk of streams.stdout) {
        expect(String(chunk)).toContain("tick\n");
        break;
      }
      streams.close();
      const missing = current().provider.attach!(podRef(pod), "other", { stdin: false }, signal);
      await expect(missing).rejects.toMatchObject({ code: "NotFound" });
    });

    rule("port-forward says which port of a pod nobody listens on", async (context) => {
      needs(context, "portForward");
      const pod = await start();
      const port = await freePort();
      await expect(current().provider.portForward!(podRef(pod), port, signal)).rejects.toThrow(String(port));
      const missing = current().provider.portForward!(podRef(scriptPod("true")), port, signal);
      await expect(missing).rejects.toMatchObject({ code: "NotFound" });
    });
  });
}

/** One that was just given back. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}

async function collect(streams: ContainerStreams) {
  const [stdout, stderr, end] = await Promise.all([text(streams.stdout), text(streams.stderr), streams.ended]);
  return { stdout, stderr, end };
}

async function text(stream: Readable | undefined): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream ?? []) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}
