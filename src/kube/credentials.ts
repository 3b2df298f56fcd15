import type { Clock } from "../clock.ts";
import type { KeyPair } from "../pki/authority.ts";

/** As whom a request is sent. Never logged. */
export interface Credential {
  /** The Authorization header. */
  readonly authorization?: string;
  /** What new connections show. The same object as long as the certificate is the same. */
  readonly certificate?: KeyPair;
}

/** Where credentials come from. Asked for each request, so a source may renew behind it. */
export interface Credentials {
  /**
   * The credential of the next request: the same object as before as long as nothing changed.
   * @throws {HostletError} ConfigInvalid where waiting can't help; any other error where it can
   */
  current(): Credential | Promise<Credential>;
  /** The server answered 401 to this one: `current` is to look for a newer one. */
  refused(credential: Credential): void;
  /** Ends what is under way. Idempotent. */
  close(): void;
}

export interface CredentialOptions {
  clock: Clock;
  /** Of credential plugins. */
  env: NodeJS.ProcessEnv;
  /** Whether credential plugins may ask the user on this process's terminal. */
  interactive: boolean;
}
