import { expect, test } from "vitest";
import type { Container } from "../../kube/types.ts";
import { imageCommand } from "./imageCommand.ts";

const image = {
  id: "i",
  entrypoint: ["/entry", "-e"],
  command: ["serve"],
  env: { PATH: "/bin", A: "image" },
  workingDir: "/srv",
};
const of = (container: Partial<Container>, from = image) =>
  imageCommand({ name: "c", image: "app", ...container }, from, { NAME: "value" }, { HOSTNAME: "p", A: "pod" });

test.each([
  ["neither: both of the image", {}, ["/entry", "-e", "serve"]],
  ["args replace the image's command", { args: ["x", "$(NAME)"] }, ["/entry", "-e", "x", "value"]],
  ["command replaces both", { command: ["/mine"] }, ["/mine"]],
  ["command and args", { command: ["/mine"], args: ["x"] }, ["/mine", "x"]],
])("%s", (_what, container, argv) => {
  expect(of(container).argv).toEqual(argv);
});

test("the pod's variables override the image's", () => {
  expect(of({}).env).toEqual({ PATH: "/bin", A: "pod", HOSTNAME: "p" });
});

test("the container's workingDir comes before the image's", () => {
  expect(of({}).workingDir).toBe("/srv");
  expect(of({ workingDir: "/mine" }).workingDir).toBe("/mine");
});

test("nothing to run is said", () => {
  expect(() => imageCommand({ name: "c", image: "app" }, { id: "i" }, {}, {})).toThrow(/no command specified.*"app"/);
});
