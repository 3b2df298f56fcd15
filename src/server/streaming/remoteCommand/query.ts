import { HostletError } from "../../../errors.ts";
import type { WantedStreams } from "./channels.ts";

/**
 * The kubelet API's own words for a client's streams: `input`, `output`, `error`, `tty`, each `1` where wanted.
 * @throws {HostletError} ConfigInvalid: the client asks for nothing
 */
export function wantedStreams(query: URLSearchParams): WantedStreams {
  const tty = query.get("tty") === "1";
  const wanted = {
    stdin: query.get("input") === "1",
    stdout: query.get("output") === "1",
    // A terminal has but one stream of output.
    stderr: query.get("error") === "1" && !tty,
    tty,
  };
  if (wanted.stdin || wanted.stdout || wanted.stderr) return wanted;
  throw new HostletError("ConfigInvalid", "you must specify at least 1 of stdin, stdout, stderr");
}
