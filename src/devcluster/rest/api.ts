import type { Clock } from "../../clock.ts";
import type { KeyPair } from "../../pki/authority.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { User } from "../auth.ts";
import type { Schemas } from "../schema/schema.ts";
import type { Store } from "../store/store.ts";
import type { SigningKey } from "../tokens/signingKey.ts";

/** What every handler works with. */
export interface Api {
  store: Store;
  schemas: Schemas;
  clock: Clock;
  log: Logger;
  kubelet: KubeletAccess;
  /** Whose bearer token it is; undefined for one that isn't valid. */
  authenticateToken(this: void, token: string): User | undefined;
  /** Absent: pods need no service account, and there are no tokens. */
  serviceAccounts?: ServiceAccountOptions;
}

export interface ServiceAccountOptions {
  /** Of the tokens. */
  signingKey: SigningKey;
  /** Whether pods get their service account's token without asking. */
  automount: boolean;
}

/** How the API server shows itself to a node's kubelet API, and whom it believes there. */
export interface KubeletAccess {
  client: KeyPair;
  caPem: string;
}

/** How a write is to be done, from the query. */
export interface WriteOptions {
  dryRun: boolean;
  fieldValidation: "Strict" | "Warn" | "Ignore";
  warn: (text: string) => void;
}
