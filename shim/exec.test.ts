import { afterEach, describe, expect, test } from "vitest";
import { type Control, cleanUp, isAlive, Shim } from "./harness.ts";

afterEach(cleanUp);

/** Asks for a command; resolves once its shim has taken over the connection. */
async function exec(shim: Shim, args: string[]): Promise<Control> {
  const control = await shim.connect();
  await control.line("started");
  const body = args.map((arg) => `${arg}\0`).join("");
  expect(await control.takeOver(`exec ${body.length}\n${body}`)).toBe("ok");
  return control;
}
const sh = (script: string, options: string[] = []) => [...options, "--", "/bin/sh", "sh", "-c", script];
const text = (control: Control, stream: number) => control.output[stream]?.toString() ?? "";
const ended = (control: Control) => control.until(() => text(control, 3).startsWith("exited"), "its end");

describe("exec", () => {
  test("runs a command beside the payload, with its environment, and tells all of it", async () => {
    const shim = Shim.sh("exec sleep 1000", { env: { COLOUR: "blue" } });
    await shim.started();
    const control = await exec(shim, sh('echo "$COLOUR"; pwd; echo err >&2; exit 5', ["--cwd", "/usr"]));
    await control.ended;
    expect([text(control, 1), text(control, 2), text(control, 3)]).toEqual([
      "blue\n/usr\n",
      "err\n",
      "exited exited 5",
    ]);
  });

  test("tells the errno and the step where nothing could be executed", async () => {
    const shim = Shim.sh("exec sleep 1000");
    await shim.started();
    const missing = await exec(shim, ["--", "/no/such", "x"]);
    await missing.ended;
    expect(text(missing, 3)).toMatch(/^exited error 2 exec \/no\/such: No such file/);
    const nowhere = await exec(shim, ["--cwd", "/no/such", "--", "/bin/true", "true"]);
    await nowhere.ended;
    expect(text(nowhere, 3)).toMatch(/^exited error 2 cwd /);
  });

  test("sends no more than there is room for, and tells the end all the same", async () => {
    const shim = Shim.sh("exec sleep 1000");
    await shim.started();
    const control = await exec(shim, sh("head -c 300000 /dev/zero"));
    await control.until(() => control.output[1]?.length === 262_144, "a window of output");
    await ended(control);
    expect(control.output[1]).toHaveLength(262_144);
    control.frame(5, "1 100000");
    await control.ended;
    expect(control.output[1]).toHaveLength(300_000);
  });

  test.each([
    [
      "more input than there was room for",
      (control: Control) => {
        for (let i = 0; i < 20; i++) control.frame(0, Buffer.alloc(32_768));
      },
    ],
    ["more room than a window has", (control: Control) => control.frame(5, "1 262144")],
    ["room for a stream that is none", (control: Control) => control.frame(5, "7 1")],
    ["a frame of no known type", (control: Control) => control.frame(9, "x")],
    ["a frame that is too long", (control: Control) => control.socket.write(Buffer.from([0, 0xff, 0xff, 0xff, 0xff]))],
    ["the end of the connection", (control: Control) => control.socket.destroy()],
  ])("ends the command and its tree at %s, and nothing else", async (_what, offend) => {
    const shim = Shim.sh("exec sleep 1000");
    const payload = await shim.started();
    const script = "setsid sh -c 'echo $$; exec sleep 1000' & wait";
    const control = await exec(shim, sh(script, ["--stdin"]));
    await control.until(() => text(control, 1).endsWith("\n"), "the pid");
    const pid = Number(text(control, 1));
    offend(control);
    await control.ended;
    while (isAlive(pid)) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(isAlive(payload.pid)).toBe(true);
    expect(await (await shim.connect()).ask("ping")).toBe("ok");
  });

  test("is refused where it can't be understood, or the payload has ended", async () => {
    const shim = Shim.sh("exec sleep 1000");
    await shim.started();
    for (const nonsense of ["exec", "exec 0", "exec -1", "exec x", "exec 99999999"])
      expect(await shim.control.ask(nonsense)).toBe("err 22");
    const open = await shim.connect();
    open.socket.write("exec 4\nabcd");
    expect(await open.line("err")).toBe("err 22");
    await open.ended;
  });

  test("ends with its container", async () => {
    const shim = Shim.sh("exec sleep 1000");
    await shim.started();
    const control = await exec(shim, sh("echo $$; exec sleep 1000"));
    await control.until(() => text(control, 1).endsWith("\n"), "the pid");
    shim.control.say("kill");
    await control.ended;
    expect(await shim.exited()).toBe("signaled 9");
    expect(isAlive(Number(text(control, 1)))).toBe(false);
  });
});
