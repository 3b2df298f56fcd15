import { expect, test } from "vitest";
import type { Logger } from "../../telemetry/log.ts";
import { ManualClock } from "../../testing/manualClock.ts";
import { turns } from "../../testing/turns.ts";
import type { InterlinkClient } from "./client.ts";
import { Poller } from "./poller.ts";
import type { RemotePod } from "./remotePod.ts";

test("a far end that says nothing of pods is told of at once, each minute, and when it is over", async () => {
  const clock = new ManualClock();
  const said: string[] = [];
  const log = { warn: ({ seconds }: { seconds: number }, words: string) => said.push(`${seconds} s: ${words}`) };
  let away = true;
  const client = {
    async status() {
      if (away) throw new Error("away");
      return [{ UID: "u" }];
    },
  };
  const pod = { isFollowed: true, question: {}, ref: { uid: "u" }, observe: () => {} };
  const stop = new AbortController();
  new Poller({
    client: client as unknown as InterlinkClient,
    clock,
    log: log as unknown as Logger,
    intervalMs: 10_000,
    pods: () => [pod as unknown as RemotePod],
    signal: stop.signal,
  });
  const rounds = async (count: number) => {
    for (let i = 0; i < count; i++) {
      clock.advance(10_000);
      await turns();
    }
  };
  await rounds(7);
  const missing = "pods' statuses are not to be had; what is known of them stays";
  expect(said).toEqual([`0 s: ${missing}`, `60 s: ${missing}`]);
  away = false;
  await rounds(3);
  expect(said.slice(2)).toEqual(["70 s: pods' statuses are to be had again"]);
  stop.abort();
  expect(clock.pending).toBe(0);
});
