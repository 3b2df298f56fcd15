import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../../clock.ts";
import type { LogOptions } from "../../../kube/logOptions.ts";
import { type CriLine, criTimestamp, parseCriLine } from "./cri.ts";
import { LogFormatter } from "./formatter.ts";
import { readLogs } from "./read.ts";
import { sinceTimestamp } from "./since.ts";
import { type RandomAccess, TailSearch } from "./tail.ts";

interface Entry {
  stream: "stdout" | "stderr";
  partial: boolean;
  /** As latin1, so that every byte but the line break can be in it. */
  text: string;
}

const entry: fc.Arbitrary<Entry> = fc.record({
  stream: fc.constantFrom("stdout" as const, "stderr" as const),
  partial: fc.boolean(),
  text: fc
    .array(fc.integer({ min: 0, max: 255 }), { maxLength: 90 })
    .map((bytes) => String.fromCharCode(...bytes.filter((byte) => byte !== 10))),
});
const entries = fc.array(entry, { maxLength: 30 });

const start = Date.parse("2026-01-02T03:04:05Z");
const timestampOf = (index: number) => criTimestamp(start + index);
const formatCri = ({ stream, partial, text }: Entry, index: number) =>
  `${timestampOf(index)} ${stream} ${partial ? "P" : "F"} ${text}\n`;
const logOf = (list: readonly Entry[]) => Buffer.from(list.map(formatCri).join(""), "latin1");

/** What a reader sees, said as simply as can be. */
function expected(list: readonly Entry[], timestamps: boolean): string {
  let [text, lineStart] = ["", true];
  for (const [index, entry] of list.entries()) {
    text += (timestamps && lineStart ? `${timestampOf(index)} ` : "") + entry.text + (entry.partial ? "" : "\n");
    lineStart = !entry.partial;
  }
  return text;
}

describe("a CRI line", () => {
  it("is parsed into what it was formatted from", () => {
    fc.assert(
      fc.property(entry, fc.string(), (given, before) => {
        const prefix = Buffer.from(before);
        const bytes = Buffer.concat([prefix, logOf([given])]);
        const line: CriLine = { stream: "stdout", partial: false, text: 0 };
        expect(parseCriLine(bytes, prefix.length, bytes.length - 1, line)).toBe(true);
        expect({ ...line, text: bytes.toString("latin1", line.text, bytes.length - 1) }).toEqual(given);
      }),
    );
  });

  it.each([
    ["2026-01-02T03:04:05.1+02:00 stderr P:more x", true],
    ["2026-01-02T03:04:05.123456789Z stdout F", true],
    ["2026-01-02T03:04:05.123456789Z stdout X text", false],
    ["2026-01-02T03:04:05.123456789Z stdin F text", false],
    ["2026-01-02T03:04:05.123456789Z stdout", false],
    ['{"log":"x\\n","stream":"stdout","time":"2026-01-02T03:04:05Z"}', false],
    ["", false],
  ])("%j is one: %j", (text, is) => {
    const bytes = Buffer.from(`${text}\n`);
    expect(parseCriLine(bytes, 0, bytes.length - 1, { stream: "stdout", partial: false, text: 0 })).toBe(is);
  });
});

describe("what kubectl logs prints", () => {
  const format = (options: Pick<LogOptions, "timestamps" | "stream">, bytes: Buffer, since?: string) => {
    const copy = Buffer.from(bytes);
    const { written, read } = new LogFormatter(options, since).format(copy, copy.length);
    expect(read).toBe(bytes.lastIndexOf(10) + 1);
    return copy.toString("latin1", 0, written);
  };

  it("is the text with partial lines joined, and one timestamp a line", () => {
    fc.assert(
      fc.property(entries, fc.boolean(), (list, timestamps) => {
        expect(format({ timestamps }, logOf(list))).toBe(expected(list, timestamps));
      }),
    );
  });

  it("leaves out the other stream, older lines and what is no line", () => {
    fc.assert(
      fc.property(entries, fc.nat(30), (list, since) => {
        const wanted = list.filter((entry, index) => entry.stream === "stderr" && index >= since);
        const bytes = Buffer.concat([Buffer.from("garbage\n\n"), logOf(list)]);
        const output = format({ timestamps: false, stream: "Stderr" }, bytes, timestampOf(since));
        expect(output).toBe(expected(wanted, false));
      }),
    );
  });
});

describe("since", () => {
  it.each([
    [{ sinceSeconds: 5 }, "2026-01-02T03:04:00.000000000Z"],
    [{ sinceTime: "2026-01-02T04:04:05+01:00" }, "2026-01-02T03:04:05.000000000Z"],
    [{ sinceTime: "2026-01-02T03:04:05.123456789Z" }, "2026-01-02T03:04:05.123456789Z"],
    [{ sinceTime: "2026-01-02T03:04:03Z", sinceSeconds: 5 }, "2026-01-02T03:04:03.000000000Z"],
    [{ sinceSeconds: 1e12 }, "1970-01-01T00:00:00.000000000Z"],
    [{}, undefined],
  ])("%j is %s", (options, timestamp) => {
    expect(sinceTimestamp(options, start)).toBe(timestamp);
  });

  it("of no time says how to write one", () => {
    expect(() => sinceTimestamp({ sinceTime: "yesterday" }, start)).toThrow(/yesterday.*2026-01-02/);
  });
});

describe("a container's log files", () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "hostlet-logs-"));
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  const options: LogOptions = { follow: false, previous: false, timestamps: false };
  const never = new AbortController().signal;
  const source = (over: boolean) => {
    const callbacks = new Set<() => void>();
    return {
      over,
      callbacks,
      onOver(callback: () => void) {
        callbacks.add(callback);
        return () => callbacks.delete(callback);
      },
      end() {
        this.over = true;
        for (const callback of callbacks) callback();
      },
    };
  };
  const write = (number: number, list: readonly Entry[]) => writeFileSync(join(dir, `${number}.log`), logOf(list));
  const read = async (about: Partial<LogOptions> = {}) => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of readLogs(dir, { ...options, ...about }, source(true), systemClock, never))
      chunks.push(chunk);
    return Buffer.concat(chunks).toString("latin1");
  };
  const line = (text: string): Entry => ({ stream: "stdout", partial: false, text });

  it("are searched for the last lines, whatever lies across a block's border", async () => {
    const given = fc.tuple(entries, fc.nat(12), fc.integer({ min: 1, max: 200 }), fc.boolean());
    const check = async ([list, lines, block, both]: [Entry[], number, number, boolean]) => {
      const stream = both ? undefined : "stderr";
      const bytes = Buffer.concat([logOf(list), Buffer.from("an unfinished li")]);
      const file = {
        read: async (into: Buffer, offset: number, length: number, position: number) => {
          const bytesRead = bytes.copy(into, offset, position, position + Math.min(length, 7));
          return { bytesRead, buffer: into };
        },
      } as unknown as RandomAccess;
      const found = await new TailSearch(lines, stream, block).search(file, bytes.length);
      expect(found ?? 0).toBe(logOf(list.slice(0, tailStart(list, lines, stream))).length);
    };
    await fc.assert(fc.asyncProperty(given, check));
  });

  it("are read from the oldest that is left, numbers in order", async () => {
    for (const number of [9, 10, 11]) write(number, [line(`in ${number}`)]);
    writeFileSync(join(dir, "12.log.draft"), "x");
    expect(await read()).toBe("in 9\nin 10\nin 11\n");
  });

  it("are tailed across files", async () => {
    for (const number of [0, 1, 2]) write(number, [line(`a${number}`), line(`b${number}`)]);
    expect(await read({ tailLines: 3 })).toBe("b1\na2\nb2\n");
    expect(await read({ tailLines: 0 })).toBe("");
    expect(await read({ tailLines: 7 })).toBe("a0\nb0\na1\nb1\na2\nb2\n");
  });

  it("are read in full whatever their size, and lines that are none of ours skipped", async () => {
    const list = Array.from({ length: 20_000 }, (_, i) => line(`${i} ${"x".repeat(i % 50)}`));
    write(0, list);
    appendFileSync(join(dir, "0.log"), `${"y".repeat(300_000)}\n`);
    write(1, [line("last")]);
    expect(await read()).toBe(`${expected(list, false)}last\n`);
    expect(await read({ limitBytes: 200_001 })).toBe(expected(list, false).slice(0, 200_001));
  });

  it("are none where nothing was written", async () => {
    expect(await read()).toBe("");
    rmSync(dir, { recursive: true });
    expect(await read()).toBe("");
    dir = mkdtempSync(join(tmpdir(), "hostlet-logs-"));
  });

  it("are followed through rotation until the container has ended", async () => {
    const container = source(false);
    const steps = [
      () => write(0, [line("a")]),
      () => appendFileSync(join(dir, "0.log"), logOf([line("b")]).subarray(0, 20)),
      () => {
        appendFileSync(join(dir, "0.log"), logOf([line("b")]).subarray(20));
        write(1, [line("c")]);
      },
      () => {
        write(2, [line("d")]);
        rmSync(join(dir, "0.log"));
      },
      () => {
        write(3, [line("e")]);
        container.end();
      },
    ];
    const reading = readLogs(dir, { ...options, follow: true }, container, systemClock, never);
    let text = "";
    steps.shift()?.();
    for await (const chunk of reading) {
      text += Buffer.from(chunk).toString();
      if (text.endsWith("\n")) {
        steps.shift()?.();
        if (text === "a\n") steps.shift()?.();
      }
    }
    expect(text).toBe("a\nb\nc\nd\ne\n");
  });

  it("are let go of when the reader is aborted, or stops reading", async () => {
    const abort = new AbortController();
    const container = source(false);
    write(0, [line("a")]);
    let chunks = 0;
    for await (const _ of readLogs(dir, { ...options, follow: true }, container, systemClock, abort.signal)) {
      chunks++;
      abort.abort();
    }
    expect(chunks).toBe(1);
    expect(container.callbacks.size).toBe(0);
  });
});

/** The index of the first entry of the last `lines` lines. */
function tailStart(list: readonly Entry[], lines: number, stream: string | undefined): number {
  const isLineEnd = (entry: Entry, index: number) =>
    (stream === undefined || entry.stream === stream) &&
    (!entry.partial || !list.slice(index + 1).some((later) => later.stream === entry.stream));
  const ends = list.flatMap((entry, index) => (isLineEnd(entry, index) ? [index] : []));
  return ends.length <= lines ? 0 : (ends[ends.length - lines - 1] as number) + 1;
}
