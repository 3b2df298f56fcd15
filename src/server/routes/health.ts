import { answer } from "../answer.ts";
import type { Route } from "../route.ts";

export const healthRoutes = (): Route[] => [
  {
    methods: ["GET"],
    path: "/healthz",
    access: ["healthz", "proxy"],
    handle: (_call, response) => answer(response, 200, "ok"),
  },
];
