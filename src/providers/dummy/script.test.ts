import { expect, test } from "vitest";
import { scriptOf } from "./script.ts";

const container = (command: string) => ({ name: "main", command: ["sh", "-c", command] });
const pod = (annotations: Record<string, string> = {}) => ({ metadata: { annotations } });

test.each([
  ["a command that exits has ended at once", "echo hi; exit 3", { runForMs: 0, exitCode: 3, log: "hi\n" }],
  ["a command that sleeps takes so long", "sleep 1.5", { runForMs: 1500, exitCode: 0 }],
  ["a command that only sleeps for ever runs until it is ended", "exec sleep 1000", { exitCode: 0 }],
  ["any other command runs until it is ended", "./server", { exitCode: 0, log: "" }],
])("%s", (_, command, script) => {
  const found = scriptOf(pod(), container(command));
  expect(found).toMatchObject(script);
  expect("runForMs" in found).toBe("runForMs" in script);
});

test("annotations say it all, and those for one container more", () => {
  const annotations = {
    "dummy.hostlet.dev/run-for": "2s",
    "dummy.hostlet.dev/main.run-for": "20ms",
    "dummy.hostlet.dev/exit-code": "7",
    "dummy.hostlet.dev/reason": "OOMKilled",
    "dummy.hostlet.dev/message": "too much",
    "dummy.hostlet.dev/log": "a\nb\n",
    "dummy.hostlet.dev/start-delay": "1m",
    "dummy.hostlet.dev/ignore-term": "true",
    "dummy.hostlet.dev/start-error": "ErrImagePull",
  };
  expect(scriptOf(pod(annotations), container("exit 0"))).toEqual({
    runForMs: 20,
    exitCode: 7,
    reason: "OOMKilled",
    message: "too much",
    log: "a\nb\n",
    startDelayMs: 60_000,
    ignoresTerm: true,
    startError: "ErrImagePull",
  });
});

test("an exit code that none is counts as 1", () => {
  expect(scriptOf(pod({ "dummy.hostlet.dev/exit-code": "many" }), container("x")).exitCode).toBe(1);
});
