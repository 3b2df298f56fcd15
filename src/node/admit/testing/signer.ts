import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ApiError } from "../../../kube/apiError.ts";
import type { CertificateSigningRequest, CertificateSigningRequestCondition } from "../../../kube/types.ts";
import type { CertificateAuthority } from "../../../pki/authority.ts";

const collection = "/apis/certificates.k8s.io/v1/certificatesigningrequests";

/** What becomes of an approved request; `raced`: kube-controller-manager approves it first. */
export type SignerMood = "signs" | "sleeps" | "denies" | "fails" | "raced";

/** CertificateSigningRequests in memory, as an API server and kube-controller-manager have them together. */
export class Signer {
  readonly requests: CertificateSigningRequest[] = [];
  mood: SignerMood = "signs";
  readonly #authority: CertificateAuthority;

  constructor(authority: CertificateAuthority) {
    this.#authority = authority;
  }

  /** The answer; undefined for a path of something else. @throws {ApiError} */
  handle(method: string, path: string, body: unknown): unknown {
    if (!path.startsWith(collection)) return undefined;
    const fail = (code: number, reason: string) => new ApiError({ method, path }, { code, reason, message: reason });
    if (method === "POST") return this.#create(body as CertificateSigningRequest);
    const [name, subresource] = path.slice(collection.length + 1).split("/");
    const stored = this.requests.find(({ metadata }) => metadata?.name === name);
    if (!stored) throw fail(404, "NotFound");
    if (method === "PUT" && subresource === "approval") {
      const given = body as CertificateSigningRequest;
      if (this.mood === "raced") {
        this.mood = "signs";
        this.#settle(stored, { type: "Approved", status: "True" });
        throw fail(409, "Conflict");
      }
      for (const condition of given.status?.conditions ?? []) this.#settle(stored, condition);
    }
    return structuredClone(stored);
  }

  #create(given: CertificateSigningRequest): CertificateSigningRequest {
    const name = `${given.metadata?.generateName}${this.requests.length}`;
    const stored = { ...given, metadata: { name, resourceVersion: "1" } };
    this.requests.push(stored);
    if (this.mood === "denies")
      this.#settle(stored, { type: "Denied", status: "True", reason: "No", message: "not you" });
    return structuredClone(stored);
  }

  #settle(stored: CertificateSigningRequest, condition: CertificateSigningRequestCondition): void {
    stored.status = { ...stored.status, conditions: [...(stored.status?.conditions ?? []), condition] };
    if (condition.type !== "Approved" || this.mood === "sleeps") return;
    if (this.mood === "fails") {
      this.#settle(stored, {
        type: "Failed",
        status: "True",
        reason: "SignerValidationFailure",
        message: "bad usages",
      });
      return;
    }
    stored.status.certificate = Buffer.from(this.#sign(stored)).toString("base64");
  }

  #sign({ spec }: CertificateSigningRequest): string {
    const directory = mkdtempSync(join(tmpdir(), "hostlet-signer-"));
    const put = (name: string, text: string) => {
      writeFileSync(join(directory, name), text, { mode: 0o600 });
      return join(directory, name);
    };
    try {
      const csr = put("csr", Buffer.from(spec.request, "base64").toString());
      const use = spec.usages?.includes("server auth") ? "serverAuth" : "clientAuth";
      const ca = ["-CA", put("ca.crt", this.#authority.caPem), "-CAkey", put("ca.key", this.#authority.keyPem)];
      const extensions = ["-copy_extensions", "copy", "-extfile", put("ext", `extendedKeyUsage=${use}\n`)];
      const args = ["x509", "-req", "-in", csr, ...ca, "-days", "1", ...extensions];
      return execFileSync("openssl", args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  }
}
