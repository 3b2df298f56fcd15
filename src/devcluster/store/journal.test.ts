import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Journal } from "./journal.ts";
import { Store } from "./store.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "journal-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const file = () => join(dir, "journal.jsonl");
const things = { id: "things", journaled: true };
const passing = { id: "passing", journaled: false };
const thing = (name: string, data: string) => ({
  apiVersion: "v1",
  kind: "Thing",
  metadata: { name, uid: name, resourceVersion: "", creationTimestamp: "" },
  data,
});

function open(least = 2000) {
  const { journal, recovered } = Journal.open(dir, least);
  const store = new Store(recovered.revision, journal);
  for (const { entry } of recovered.objects) store.restore(things, entry);
  return { journal, store, revision: recovered.revision };
}
const content = (store: Store) => store.list(things).map(({ object, revision }) => [object.data, revision]);

test("what is written while the file is written anew is in the new one, and nothing that is gone", async () => {
  const { journal, store } = open();
  const write = (round: number) => {
    for (const name of ["a", "b", "c"]) store.put(things, name, thing(name, `${name}${round} ${"x".repeat(50)}`));
    if (round % 3 === 0) store.remove(things, "b");
    store.put(passing, "p", thing("p", "passes"));
  };
  for (let round = 0; round < 20; round++) write(round);
  expect(statSync(file()).size).toBeGreaterThan(5000);
  await expect.poll(() => statSync(file()).size).toBeLessThan(1000);
  for (let round = 20; round < 200; round++) {
    write(round);
    // Others' turn now and then: the file is being written anew in all of its stages.
    if (round % 2 === 0) await new Promise(setImmediate);
  }
  await journal.close();
  const again = open();
  expect(content(again.store)).toEqual(content(store));
  expect(again.revision).toBeGreaterThan(store.revision);
  await again.journal.close();
});

test("a kill at any moment finds a whole file", async () => {
  const { journal, store } = open(1);
  for (let round = 0; round < 50; round++) {
    store.put(things, `t${round % 5}`, thing(`t${round % 5}`, String(round)));
    await new Promise(setImmediate);
    // The file as a kill would leave it now.
    const copy = mkdtempSync(join(tmpdir(), "journal-"));
    writeFileSync(join(copy, "journal.jsonl"), readFileSync(file()));
    const { journal: other, recovered } = Journal.open(copy);
    expect(recovered.objects.map(({ entry }) => entry.object.data).sort()).toEqual(
      content(store)
        .map(([data]) => data)
        .sort(),
    );
    await other.close();
    rmSync(copy, { recursive: true });
  }
  await journal.close();
});

test("a file that can't be replaced stays in use", async () => {
  const { journal, store } = open(1);
  // Where the new file would be written there is a directory.
  mkdirSync(`${file()}.next/x`, { recursive: true });
  for (let round = 0; round < 20; round++) {
    store.put(things, "a", thing("a", String(round)));
    await new Promise(setImmediate);
  }
  await journal.close();
  rmSync(`${file()}.next`, { recursive: true, force: true });
  const again = open();
  expect(content(again.store).map(([data]) => data)).toEqual(["19"]);
  await again.journal.close();
  expect(existsSync(`${file()}.next`)).toBe(false);
});
