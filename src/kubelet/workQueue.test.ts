import { expect, test } from "vitest";
import { turns } from "../testing/turns.ts";
import { WorkQueue } from "./workQueue.ts";

test("jobs run one a turn, in their order, and the event loop turns between them", async () => {
  const queue = new WorkQueue();
  const done: string[] = [];
  queue.push(() => {
    done.push("a");
    setImmediate(() => done.push("somebody else"));
  });
  queue.push(() => done.push("b"));
  queue.push(() => done.push("c"));
  expect(done).toEqual([]);
  await turns();
  expect(done).toHaveLength(4);
  expect(done[0]).toBe("a");
  expect(done.indexOf("somebody else")).toBeLessThan(done.indexOf("c"));
});

test("a job that waits already is not queued twice, one that has run is", async () => {
  const queue = new WorkQueue();
  let runs = 0;
  const job = () => {
    runs++;
    if (runs === 1) queue.push(job);
  };
  queue.push(job);
  queue.push(job);
  await turns();
  expect(runs).toBe(2);
});

test("stop forgets what waits, and twice is as well as once", async () => {
  const queue = new WorkQueue();
  let runs = 0;
  queue.push(() => {
    runs++;
    queue.stop();
    queue.stop();
  });
  queue.push(() => runs++);
  await turns();
  expect(runs).toBe(1);
});
