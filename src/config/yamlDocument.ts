// A module of its own that is loaded where there is a file: in the bundle a dynamic import of the package itself, which is CommonJS,
// has no names but `default`.
export { parseDocument } from "yaml";
