import { createHash } from "node:crypto";
import type { Exchange } from "../http/exchange.ts";
import type { Schemas } from "../schema/schema.ts";
import { pageNotFound } from "../status.ts";
import { documentNames, documentV2, documentV3 } from "./document.ts";
import { encodeDocument } from "./protobuf.ts";

/** As kube-apiserver answers: the `@` of what clients ask for is no media type to Go. */
const protobufV2 = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/** The OpenAPI documents, each made when it is first asked for. */
export class OpenApi {
  readonly #schemas: Schemas;
  readonly #made = new Map<string, Buffer>();

  constructor(schemas: Schemas) {
    this.#schemas = schemas;
  }

  /** @throws {StatusError} 404 */
  serve(exchange: Exchange): void {
    const { path } = exchange;
    if (path === "/openapi/v2") {
      const protobuf = (exchange.headers.accept ?? "").includes("proto-openapi.spec.v2");
      if (protobuf) exchange.send(200, this.#protobuf(), protobufV2);
      else
        exchange.send(
          200,
          this.#json("v2", () => documentV2(this.#schemas)),
        );
    } else if (path === "/openapi/v3") {
      exchange.send(200, JSON.stringify(this.#index()));
    } else {
      const name = path.slice("/openapi/v3/".length);
      if (!documentNames().includes(name)) throw pageNotFound();
      exchange.send(200, this.#v3(name));
    }
  }

  /** The hash in a document's URL lets clients keep it for as long as it stays the same. */
  #index(): object {
    const entries = documentNames().map((name) => {
      const hash = createHash("sha256").update(this.#v3(name)).digest("hex").toUpperCase();
      return [name, { serverRelativeURL: `/openapi/v3/${name}?hash=${hash}` }];
    });
    return { paths: Object.fromEntries(entries) };
  }

  #v3(name: string): Buffer {
    return this.#json(name, () => documentV3(this.#schemas, name));
  }

  #protobuf(): Buffer {
    return this.#make("protobuf", () => encodeDocument(documentV2(this.#schemas)));
  }

  #json(name: string, document: () => object): Buffer {
    return this.#make(name, () => Buffer.from(JSON.stringify(document())));
  }

  #make(name: string, build: () => Buffer): Buffer {
    let bytes = this.#made.get(name);
    if (!bytes) {
      bytes = build();
      this.#made.set(name, bytes);
    }
    return bytes;
  }
}
