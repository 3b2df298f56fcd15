import { describe, expect, test } from "vitest";
import { parseLogQuery } from "./logQuery.ts";

const parse = (query: string) => parseLogQuery(new URLSearchParams(query));
const plain = { follow: false, previous: false, timestamps: false, stream: "All" };

const good: Record<string, [string, object]> = {
  "nothing asked for is the whole log": ["", plain],
  "a flag without a value is set, as the API machinery reads it": ["follow", { ...plain, follow: true }],
  "false and 0 are not set": ["follow=false&previous=0", plain],
  "all numbers": [
    "tailLines=0&limitBytes=1&sinceSeconds=1",
    { ...plain, tailLines: 0, limitBytes: 1, sinceSeconds: 1 },
  ],
  "an empty number is none": ["tailLines=", plain],
  "a time": ["sinceTime=2026-01-01T00:00:00Z", { ...plain, sinceTime: "2026-01-01T00:00:00Z" }],
  "one stream": ["stream=Stderr", { ...plain, stream: "Stderr" }],
  "what is not known is skipped": ["pretty=1", plain],
};

const bad: Record<string, [string, RegExp]> = {
  "a negative number of lines": ["tailLines=-1", /^tailLines: Invalid value: "-1"/],
  "words for a number": ["tailLines=many", /^tailLines: Invalid value: "many"/],
  "half a line": ["tailLines=1.5", /^tailLines/],
  "a number in another notation": ["tailLines=0x10", /^tailLines/],
  "no bytes": ["limitBytes=0", /^limitBytes/],
  "no seconds": ["sinceSeconds=0", /^sinceSeconds/],
  "a time that is none": ["sinceTime=yesterday", /^sinceTime: Invalid value: "yesterday"/],
  "two beginnings": ["sinceTime=2026-01-01T00:00:00Z&sinceSeconds=5", /at most one of/],
  "a stream that is none": ["stream=stdout", /^stream: Unsupported value/],
};

describe("the query of a log", () => {
  test.each(Object.entries(good))("%s", (_name, [query, expected]) => {
    expect(parse(query)).toEqual(expected);
  });

  test.each(Object.entries(bad))("%s is refused", (_name, [query, message]) => {
    expect(() => parse(query)).toThrow(message);
  });
});
