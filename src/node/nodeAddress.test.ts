import { isIP } from "node:net";
import { expect, test } from "vitest";
import { nodeAddress } from "./nodeAddress.ts";

test("towards a server on this host the address is the loopback's", async () => {
  expect(await nodeAddress("https://127.0.0.1:6443")).toBe("127.0.0.1");
});

test("without a port it is the same", async () => {
  expect(await nodeAddress("https://127.0.0.1/prefix")).toBe("127.0.0.1");
});

test("towards a server that no address leads to it is some address of this host", async () => {
  expect(isIP(await nodeAddress("https://no-such-host.invalid:6443"))).not.toBe(0);
});
