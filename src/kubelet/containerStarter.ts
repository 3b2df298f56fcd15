import { mkdirSync } from "node:fs";
import { HostletError } from "../errors.ts";
import type { Pod, PodRef } from "../kube/types.ts";
import type { StartAction } from "./decide/actions.ts";
import { creationRetryMs } from "./decide/backoff.ts";
import type { ContainerView } from "./decide/view.ts";
import type { KubeletDeps } from "./deps.ts";
import { ImageError } from "./image/imageError.ts";
import { ImagePuller } from "./image/pulling.ts";
import type { PodEvents } from "./podEvents.ts";
import type { PodPaths } from "./podFiles.ts";
import { messageOf, type PodSetup } from "./podSetup.ts";
import { referencedObjects } from "./references.ts";
import { makeTerminationLog, removeTerminationLog } from "./terminationMessage.ts";

export interface ContainerStarterOptions {
  deps: KubeletDeps;
  ref: PodRef;
  paths: PodPaths;
  events: PodEvents;
  setup: PodSetup;
  /** Aborts when the pod ends: no start is made then. */
  signal: AbortSignal;
}

/** Makes the starts of a pod's containers, and writes into their views what came of them. */
export class ContainerStarter {
  readonly #options: ContainerStarterOptions;
  /** Of a runtime with images. */
  readonly #puller: ImagePuller | undefined;

  constructor(options: ContainerStarterOptions) {
    this.#options = options;
    const { runtime, objects, clock } = options.deps;
    this.#puller = runtime.images && new ImagePuller({ images: runtime.images, objects, clock });
  }

  /** @returns whether it runs now */
  async start(pod: Pod, view: ContainerView, action: StartAction): Promise<boolean> {
    const { deps, ref, paths, events, setup, signal } = this.#options;
    view.starting = true;
    try {
      const { spec } = view;
      const { prepared: setUp } = setup;
      const emit = (type: "Normal" | "Warning", why: string, what: string) => events.emit(type, why, what, view);
      const image = await this.#puller?.ensure(pod, spec, emit, signal);
      const prepared = await deps.preparer.container(pod, spec, setUp, paths, signal, image);
      for (const { reason, message } of prepared.warnings) events.emit("Warning", reason, message, view);
      // The pod may have been ended while its environment was fetched: then this start is not made.
      if (signal.aborted) return false;
      view.asked = action.attempt;
      const containerDir = deps.files.containerDir(pod, spec.name);
      // Of an ephemeral container nobody knew when the pod's directory was made.
      if (view.kind === "ephemeral") mkdirSync(containerDir, { recursive: true, mode: 0o755 });
      const id = { podUID: ref.uid, container: spec.name, attempt: action.attempt };
      const ownRoot = deps.runtime.images !== undefined || prepared.isolation !== undefined;
      const log = makeTerminationLog(paths, id, spec, prepared.mounts, ownRoot);
      const container = await deps.runtime.start({
        id,
        namespace: ref.namespace,
        podName: ref.name,
        restartCount: action.restartCount,
        argv: prepared.argv,
        env: { ...prepared.env, ...log.env },
        ...(prepared.workingDir !== undefined && { workingDir: prepared.workingDir }),
        dir: containerDir,
        mounts: [...prepared.mounts, ...log.mounts],
        ...(prepared.isolation && { isolation: prepared.isolation }),
        ...(prepared.networkNamespace !== undefined && { networkNamespace: prepared.networkNamespace }),
        ...(prepared.hostname !== undefined && { hostname: prepared.hostname }),
        stdin: spec.stdin ?? false,
        ...(spec.stdinOnce && { stdinOnce: true }),
        tty: spec.tty ?? false,
        ...(image && { image }),
        ...(prepared.security && { security: prepared.security }),
        ...(prepared.resources && { resources: prepared.resources }),
      });
      view.attempts.push(container);
      for (const ofTheLast of [
        "problem",
        "endSeenAt",
        "postStart",
        "startup",
        "readiness",
        "failed",
        "stop",
      ] as const) {
        delete view[ofTheLast];
      }
      if (action.backoff) view.backoff = action.backoff;
      const note = prepared.note === undefined ? "" : `; ${prepared.note}`;
      events.emit("Normal", "Created", `Created container ${spec.name}${note}`, view);
      if (container.startedAt !== undefined) events.emit("Normal", "Started", `Started container ${spec.name}`, view);
      else events.emit("Warning", "Failed", `Error: ${container.exit?.message ?? "could not be started"}`, view);
      return container.exit === undefined;
    } catch (error) {
      if (signal.aborted) return false;
      const tries = (view.problem?.tries ?? 0) + 1;
      const reason = (error instanceof HostletError && error.reason) || "CreateContainerError";
      const message = messageOf(error);
      const ofImage = error instanceof ImageError;
      const retryAt = (ofImage && error.retryAt) || deps.clock.now() + creationRetryMs(tries);
      view.problem = { reason, message, tries, retryAt };
      // What is wrong with an image the puller's own Events have said.
      events.emit("Warning", "Failed", `Error: ${ofImage ? reason : message}`, view);
      setup.watch(referencedObjects(pod));
      return false;
    } finally {
      view.starting = false;
    }
  }

  /** The current start and the one before it are kept: `kubectl logs --previous` and `lastState` need no more. */
  async forgetOld(view: ContainerView): Promise<void> {
    const { deps, paths } = this.#options;
    while (view.attempts.length > 2) {
      const old = view.attempts.shift()!;
      await deps.runtime.remove(old.id);
      removeTerminationLog(paths.dir, old.id);
    }
  }
}
