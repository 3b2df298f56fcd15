import type { Attributes } from "../guard/attributes.ts";
import type { Reviews } from "../guard/reviews.ts";
import type { User } from "../route.ts";

/** Reviews of a cluster that knows these tokens, and lets do what `may` says. */
export function allowing(
  may: (user: User, attributes: Attributes) => boolean,
  tokens: Record<string, User> = {},
): Reviews {
  return { token: async (token) => tokens[token], access: async (user, attributes) => may(user, attributes) };
}
