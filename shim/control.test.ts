import { spawnSync } from "node:child_process";
import { closeSync, openSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { type Control, cleanUp, Shim, temporaryRoot } from "./harness.ts";

afterEach(cleanUp);

const text = (control: Control, stream: number) => control.output[stream]?.toString() ?? "";

describe("commands", () => {
  test("every connection is told the state, and is answered", async () => {
    const shim = Shim.sh("exec sleep 1000");
    const { pid, starttime } = await shim.started();
    const other = await shim.connect();
    expect(await other.line("started")).toBe(`started ${pid} ${starttime}`);
    expect(await other.ask("ping")).toBe("ok");
    expect(await other.ask("signal 0")).toBe("ok");
    expect(await other.ask("signal 1000")).toBe("err 22");
    for (const nonsense of ["", "signal", "signal x", "signal 9x", "kill -9", "attach more", "\x01"])
      expect(await other.ask(nonsense)).toBe("err 22");
    expect(await other.ask("signal 15")).toBe("ok");
    expect(await other.line("exited")).toBe("exited signaled 15");
    expect(await shim.exited()).toBe("signaled 15");
    await other.ended;
  });

  test("a payload that has ended is not signalled, and who comes then is told how it ended", async () => {
    const shim = Shim.sh("exec sleep 1000");
    const { pid } = await shim.started();
    // Its output held open keeps the shim there after the end.
    const pipe = openSync(`/proc/${pid}/fd/1`, "w");
    shim.control.say("signal 9");
    expect(await shim.exited()).toBe("signaled 9");
    const late = await shim.connect();
    expect(await late.line("exited")).toBe("exited signaled 9");
    expect(await late.ask("signal 15")).toBe("err 3");
    expect(await late.ask("kill")).toBe("ok");
    closeSync(pipe);
    await late.ended;
  });

  test("a line without end, and a 66th connection, are cut off; the others go on", async () => {
    const shim = Shim.sh("exec sleep 1000");
    await shim.started();
    const endless = await shim.connect();
    endless.socket.write("x".repeat(5000));
    await endless.ended;
    const all: Control[] = [];
    for (let i = 0; i < 64; i++) all.push(await shim.connect());
    for (const connection of all) expect(await connection.ask("ping")).toBe("ok");
    await (await shim.connect()).ended;
    all[0]?.socket.destroy();
    for (const connection of all.slice(1)) expect(await connection.ask("ping")).toBe("ok");
    expect(await (await shim.connect()).ask("ping")).toBe("ok");
    for (const connection of all) connection.socket.destroy();
  });

  test("the socket is the user's alone", async () => {
    const shim = Shim.sh("exec sleep 1000");
    await shim.started();
    expect(statSync(join(shim.root, "D/sock")).mode & 0o777).toBe(0o600);
  });
});

describe("attach", () => {
  test("stdin goes in, both outputs come out, and closing stdin ends the payload", async () => {
    const shim = Shim.sh("echo begun >&2; cat; echo done", { options: ["--stdin"] });
    const client = await shim.connect();
    expect(await client.attach(true)).toBe("ok");
    const big = `${"0123456789".repeat(50_000)}\n`;
    client.frame(0, "hello\n");
    client.frame(0, big);
    client.frame(0, "");
    expect(await shim.exited()).toBe("exited 0");
    await client.ended;
    expect(text(client, 1) === `hello\n${big}done\n`).toBe(true);
    expect(text(client, 3)).toMatch(/exited exited 0\n$/);
    expect(shim.logged("stdout") === `hello\n${big}done\n`).toBe(true);
  });

  test("a client that shuts its sending side down goes on receiving", async () => {
    const shim = Shim.sh("read x; echo got $x; echo more", { options: ["--stdin"] });
    const client = await shim.connect();
    await client.attach(true);
    client.frame(0, "it\n");
    client.socket.end();
    expect(await shim.exited()).toBe("exited 0");
    await client.ended;
    expect(text(client, 1)).toBe("got it\nmore\n");
  });

  test("without --stdin there is none, and output comes all the same", async () => {
    const root = temporaryRoot();
    spawnSync("mkfifo", [join(root, "fifo")]);
    const shim = Shim.sh(`wc -c; read x < ${root}/fifo; echo out`, { root });
    const client = await shim.connect();
    await shim.started();
    expect(await client.ask("attach stdin")).toBe("err 32");
    await client.attach(false);
    client.frame(0, "ignored\n");
    writeFileSync(join(root, "fifo"), "go\n");
    await shim.exited();
    await client.ended;
    expect(text(client, 1)).toMatch(/out\n$/);
    expect(shim.logged("stdout")).toBe("0\nout\n");
  });

  test("what a payload doesn't read waits, and nothing else does", async () => {
    const root = temporaryRoot();
    spawnSync("mkfifo", [join(root, "fifo")]);
    const shim = Shim.sh(`read x < ${root}/fifo; wc -c`, { root, options: ["--stdin"] });
    const client = await shim.connect();
    await client.attach(true);
    for (let i = 0; i < 50; i++) client.frame(0, Buffer.alloc(10_000, "x"));
    client.frame(0, "");
    expect(await shim.control.ask("ping")).toBe("ok");
    writeFileSync(join(root, "fifo"), "go\n");
    expect(await shim.exited()).toBe("exited 0");
    expect(shim.logged("stdout").trim()).toBe("500000");
  });

  test("a client that stops reading is dropped, and the others and the log go on", async () => {
    const rounds = 12;
    const size = 262_144;
    const script = `i=0; while [ $i -lt ${rounds} ]; do read x; head -c ${size} /dev/zero; i=$((i+1)); done`;
    const shim = Shim.sh(script, { options: ["--stdin"] });
    const [deaf, reader] = [await shim.connect(), await shim.connect()];
    await deaf.attach(false);
    deaf.socket.pause();
    await reader.attach(true);
    // Round by round: however slow this process is, less than what a client may leave waiting waits for the reader.
    for (let round = 1; round <= rounds; round++) {
      reader.frame(0, "\n");
      await reader.until(() => text(reader, 1).length === round * size, `round ${round}`);
    }
    expect(await shim.exited()).toBe("exited 0");
    await reader.ended;
    deaf.socket.resume();
    await deaf.ended;
    expect(text(deaf, 1).length).toBeLessThan(2 * 1024 * 1024);
    expect(text(deaf, 3)).not.toContain("exited");
    expect(shim.logged("stdout").length).toBe(rounds * size);
  });
});

describe("a terminal", () => {
  test("is one, can be resized, echoes, and is the payload's controlling one", async () => {
    const shim = Shim.sh("tty; read x; stty size; echo to the terminal > /dev/tty; exit 3", { options: ["--tty"] });
    const client = await shim.connect();
    await client.attach(true);
    client.frame(4, "33 77");
    client.frame(0, "typed\n");
    expect(await shim.exited()).toBe("exited 3");
    await client.ended;
    const output = shim.logged("stdout");
    expect(output).toMatch(/^\/dev\/pts\/\d+\r$/m);
    expect(output).toMatch(/^typed\r$/m);
    expect(output).toMatch(/33 77\r\nto the terminal\r\n$/);
    expect(shim.logged("stderr")).toBe("");
  });

  test("gives end of file for a closed stdin, and SIGINT for ^C", async () => {
    const reading = Shim.sh("cat; echo end", { options: ["--tty"] });
    const client = await reading.connect();
    await client.attach(true);
    client.frame(0, "line\n");
    client.frame(0, "");
    expect(await reading.exited()).toBe("exited 0");
    expect(reading.logged("stdout")).toBe("line\r\nline\r\nend\r\n");
    const sleeping = Shim.sh("exec sleep 1000", { options: ["--tty"] });
    await sleeping.started();
    const typing = await sleeping.connect();
    await typing.attach(true);
    typing.frame(0, "\x03");
    expect(await sleeping.exited()).toBe("signaled 2");
  });

  test("belongs to the owner, and its last words are not lost", async () => {
    for (let i = 0; i < 20; i++) {
      const shim = Shim.sh("seq 1 200; printf end", {
        options: ["--tty", "--owner", `${process.getuid?.()}:${process.getgid?.()}`],
      });
      expect(await shim.exited()).toBe("exited 0");
      const wanted = `${Array.from({ length: 200 }, (_, n) => `${n + 1}\r\n`).join("")}end`;
      expect(shim.logged("stdout")).toBe(wanted);
    }
  });
});
