import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { userInfo } from "node:os";
import { join } from "node:path";
import { until } from "./cluster.ts";

/** A real sshd on loopback, of the user who runs the tests, and an `ssh` that knows it. */
export class Sshd {
  readonly url: string;
  /** In front of PATH it is the `ssh` that is called. */
  readonly bin: string;
  readonly #dir: string;
  readonly #port: number;
  #child: ChildProcess | undefined;
  #says = "";

  constructor(dir: string, port: number) {
    this.#dir = dir;
    this.#port = port;
    this.url = `ssh://${userInfo().username}@127.0.0.1:${port}`;
    this.bin = join(dir, "bin");
    mkdirSync(this.bin, { recursive: true });
    for (const key of ["host", "user"]) {
      execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", join(dir, key)]);
    }
    execFileSync("cp", [join(dir, "user.pub"), join(dir, "authorized")]);
    writeFileSync(
      join(dir, "sshd.conf"),
      [
        `Port ${port}`,
        "ListenAddress 127.0.0.1",
        `HostKey ${dir}/host`,
        `AuthorizedKeysFile ${dir}/authorized`,
        "UsePAM yes",
        "StrictModes no",
        "PidFile none",
        "ClientAliveInterval 5",
        "",
      ].join("\n"),
    );
    const config = [
      `IdentityFile ${dir}/user`,
      "StrictHostKeyChecking no",
      "UserKnownHostsFile /dev/null",
      "LogLevel ERROR",
    ];
    writeFileSync(join(dir, "ssh.conf"), `${config.join("\n")}\n`);
    writeFileSync(join(this.bin, "ssh"), `#!/bin/sh\nexec /usr/bin/ssh -F ${dir}/ssh.conf "$@"\n`);
    chmodSync(join(this.bin, "ssh"), 0o755);
  }

  async start(): Promise<void> {
    const child = spawn("/usr/sbin/sshd", ["-D", "-e", "-f", join(this.#dir, "sshd.conf")], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    child.stderr.on("data", (chunk: Buffer) => {
      this.#says += chunk.toString();
    });
    this.#child = child;
    this.#says = "";
    await until(
      () => this.#says.includes(`listening on 127.0.0.1 port ${this.#port}`) || child.exitCode !== null,
      "sshd",
    );
    if (child.exitCode !== null) throw new Error(this.#says);
  }

  /** With the connections that it has. */
  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child || child.exitCode !== null) return;
    const children = execFileSync("sh", ["-c", `cat /proc/${child.pid}/task/*/children`], { encoding: "utf8" });
    const exit = new Promise((resolve) => child.once("exit", resolve));
    for (const pid of [child.pid!, ...children.trim().split(/\s+/).filter(Boolean).map(Number)]) {
      try {
        process.kill(pid, "SIGTERM");
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
      }
    }
    await exit;
  }
}

/** What a server says on a TCP port of loopback; undefined where nobody listens. */
export function ask(port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk.toString();
    });
    socket.once("error", () => resolve(undefined));
    socket.once("close", () => resolve(text === "" ? undefined : text));
  });
}
