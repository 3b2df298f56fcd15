import type { Readable, Writable } from "node:stream";
import type { Status } from "../../../kube/types.ts";

/** Which streams a client of exec or attach wants. */
export interface WantedStreams {
  stdin: boolean;
  stdout: boolean;
  stderr: boolean;
  tty: boolean;
}

/** The client's streams, over whichever protocol it speaks. */
export interface RemoteChannels {
  /** Its end is the end of the command's input. */
  readonly stdin?: Readable;
  readonly stdout?: Writable;
  readonly stderr?: Writable;
  /** Sizes of the client's terminal, as JSON: `{"Width":80,"Height":24}`. */
  readonly resize?: Readable;
  /** Tells how it ended, then closes the connection. Resolves when it is closed. */
  finish(status: Status): Promise<void>;
}
