import fc from "fast-check";
import { expect, test } from "vitest";
import {
  decodeCreateReply,
  decodeCreateRequests,
  decodeLogs,
  decodePing,
  decodePluginCreate,
  decodePods,
  decodeStatuses,
  parseJson,
  WireError,
} from "./decode.ts";
import { channels, encodeFrame, FrameReader, longestPayload } from "./frames.ts";

const pod = {
  metadata: { name: "p", namespace: "default", uid: "u", creationTimestamp: null },
  spec: { containers: [{ name: "c", resources: {} }] },
  status: {},
};
const configMap = (name: string) => ({ metadata: { name }, data: { a: "1" } });

test("what Go writes as null is an empty list, and what it writes for an unset time is nothing", () => {
  const found = decodeCreateRequests({ pod, configmaps: null, secrets: null, projectedvolumesmaps: null });
  expect(found).toMatchObject({ configmaps: [], secrets: [], projectedvolumesmaps: [], jobscriptURL: "" });
  expect(found.pod.metadata).toEqual({ name: "p", namespace: "default", uid: "u" });
});

test("a plugin's create is an object, a list of one, or what a node sends", () => {
  const container = [{ name: "c", configMaps: [configMap("m")], secrets: null, projectedvolumemaps: null }];
  const data = { pod, container, jobConfig: {}, somethingNew: 1 };
  expect(decodePluginCreate(data).configMaps).toEqual([configMap("m")]);
  expect(decodePluginCreate([data])).toEqual(decodePluginCreate(data));
  expect(decodePluginCreate({ pod, configmaps: [configMap("n")], secrets: null }).configMaps).toEqual([configMap("n")]);
});

test.each([
  ["two pods where one is due", () => decodePluginCreate([{ pod }, { pod }]), "holds 2 pods, not one"],
  ["a list where an object is due", () => decodeCreateRequests([]), "must be"],
  ["a pod without a spec", () => decodePluginCreate({ pod: { metadata: {} } }), "pod.spec"],
  ["a container without a name", () => decodePods([{ ...pod, spec: { containers: [{}] } }]), "name"],
  [
    "a command that is no list",
    () => decodePods([{ ...pod, spec: { containers: [{ name: "c", command: "x" }] } }]),
    "command",
  ],
  ["an answer that is no list", () => decodeStatuses({ error: "x" }), "must be Array"],
  ["no JSON", () => parseJson("<html>"), 'is no JSON: "<html>"'],
  ["a reply that is text", () => decodeCreateReply("ok"), "must be Object"],
])("%s is refused in words", (_, decode, words) => {
  expect(decode).toThrow(WireError);
  expect(decode).toThrow(words);
});

test("a status without UID, containers or JID is one that says nothing of them", () => {
  expect(decodeStatuses(null)).toEqual([]);
  expect(decodeStatuses([{ name: "p", containers: null }])).toEqual([
    { name: "p", UID: "", namespace: "", JID: "", containers: [], initContainers: [] },
  ]);
});

test("log options take the SDK's LimitBytes for Bytes, and may be absent", () => {
  expect(decodeLogs({ Opts: { LimitBytes: 7 } }).Opts.Bytes).toBe(7);
  expect(decodeLogs({ Opts: { Bytes: 9, LimitBytes: 0 } }).Opts.Bytes).toBe(9);
  expect(decodeLogs({}).Opts).toMatchObject({ Tail: 0, Follow: false, SinceTime: "" });
});

test("a ping is answered by any text; only what makes sense of it counts", () => {
  expect(decodePing("0")).toEqual({});
  expect(decodePing("pong")).toEqual({});
  expect(decodePing('{"resources":{"accelerators":[{"resourceType":"gpu","available":-1}]}}')).toEqual({});
  expect(decodePing('{"resources":{"cpu":"4"},"taints":null,"status":null}')).toEqual({ resources: { cpu: "4" } });
});

test("no JSON value, whatever it holds, makes a decoder fail otherwise than by a WireError", () => {
  const decoders = [
    decodeCreateRequests,
    decodePluginCreate,
    decodePods,
    decodeStatuses,
    decodeLogs,
    decodeCreateReply,
  ];
  const almost = fc.record({
    pod: fc.jsonValue(),
    container: fc.jsonValue(),
    Opts: fc.jsonValue(),
    configmaps: fc.jsonValue(),
  });
  fc.assert(
    fc.property(fc.oneof(fc.jsonValue(), almost, fc.array(almost)), (value) => {
      decodePing(JSON.stringify(value));
      for (const decode of decoders) {
        try {
          decode(value);
        } catch (error) {
          expect(error).toBeInstanceOf(WireError);
        }
      }
    }),
  );
});

test("frames come out as they went in, however the bytes were cut", () => {
  const frame = fc.record({
    channel: fc.constantFrom(...Object.values(channels)),
    payload: fc.uint8Array({ maxLength: 300 }),
  });
  fc.assert(
    fc.property(
      fc.array(frame, { maxLength: 20 }),
      fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }),
      (frames, cuts) => {
        const bytes = Buffer.concat(frames.map(({ channel, payload }) => encodeFrame(channel, payload)));
        const reader = new FrameReader();
        const found = [];
        for (let at = 0, turn = 0; at < bytes.length; turn++) {
          const length = cuts[turn % cuts.length]!;
          found.push(...reader.push(bytes.subarray(at, at + length)));
          at += length;
        }
        expect(found.map(({ channel, payload }) => [channel, [...payload]])).toEqual(
          frames.map(({ channel, payload }) => [channel, [...payload]]),
        );
      },
    ),
  );
});

test("a length that no frame has is refused at once", () => {
  const bytes = Buffer.alloc(5);
  bytes.writeUInt32BE(longestPayload + 1, 1);
  expect(() => new FrameReader().push(bytes)).toThrow(RangeError);
});
