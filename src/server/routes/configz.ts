import { answerJson } from "../answer.ts";
import type { Route, RouteDeps } from "../route.ts";

export const configzRoutes = ({ node }: RouteDeps): Route[] => [
  {
    methods: ["GET"],
    path: "/configz",
    access: ["configz", "proxy"],
    handle: (_call, response) => answerJson(response, node.config),
  },
];
