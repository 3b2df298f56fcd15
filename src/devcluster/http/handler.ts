import type { User } from "../auth.ts";
import { discovery, version } from "../discovery.ts";
import type { FaultInjector } from "../faults.ts";
import { OpenApi } from "../openapi/serve.ts";
import type { Api } from "../rest/api.ts";
import { dispatch } from "../rest/dispatch.ts";
import { parseTarget } from "../rest/target.ts";
import { answerReview, reviewAt } from "../reviews/serve.ts";
import { methodNotAllowed, pageNotFound, unauthorized } from "../status.ts";
import type { Exchange } from "./exchange.ts";

/** From a request to whatever answers it. */
export class Handler {
  readonly #api: Api;
  readonly #faults: FaultInjector;
  readonly #openApi: OpenApi;
  #requests = 0;
  #open = 0;

  constructor(api: Api, faults: FaultInjector) {
    this.#api = api;
    this.#faults = faults;
    this.#openApi = new OpenApi(api.schemas);
  }

  stats(): { requests: number; open: number } {
    return { requests: this.#requests, open: this.#open };
  }

  /** @throws {StatusError} what the client is to be told */
  async handle(exchange: Exchange, user: User | undefined): Promise<void> {
    this.#requests++;
    this.#open++;
    exchange.signal.addEventListener("abort", () => this.#open--);
    if (!user) throw unauthorized();
    if (await this.#faults.apply(exchange, user.username, this.#api.clock)) return;
    const review = reviewAt(exchange.path);
    if (review) return answerReview(this.#api, review, exchange, user);
    const target = parseTarget(exchange.path);
    if (target) return dispatch(this.#api, target, exchange, user);
    if (exchange.method !== "GET" && exchange.method !== "HEAD") throw methodNotAllowed();
    this.#page(exchange);
  }

  #page(exchange: Exchange): void {
    const { path } = exchange;
    if (path === "/healthz" || path === "/livez" || path === "/readyz") {
      exchange.send(200, "ok", "text/plain; charset=utf-8");
    } else if (path === "/version") {
      exchange.send(200, JSON.stringify(version));
    } else if (/^\/apis?(\/|$)/.test(path)) {
      exchange.send(200, JSON.stringify(discovery(path.replace(/\/$/, ""))));
    } else if (path === "/openapi/v2" || /^\/openapi\/v3(\/|$)/.test(path)) {
      this.#openApi.serve(exchange);
    } else throw pageNotFound();
  }
}
