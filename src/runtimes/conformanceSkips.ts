const pid1 = "the container's process is PID 1 of its namespace, which no signal of its own ends without a handler";
const inLog = "the engine starts the container and writes what went wrong into its log; the exit code is runc's";
const makesDir = "the engine makes a working directory that is missing";

const ofEngines = {
  "tells signal 9 from an exit code of 128 and more": pid1,
  "tells signal 15 from an exit code of 128 and more": pid1,
  "tells signal 11 from an exit code of 128 and more": pid1,
  "is 127 where the interpreter of a script is missing": inLog,
  "is 126 where the file is of no known format": inLog,
  "says so where the working directory is missing": makesDir,
  "tells a signal from an exit code": "the Engine API has 128 + signal for an exit code, and no signal",
  "learns of another size, and of the end of input, on its terminal": "the test's image has no bash",
};

/**
 * Cases of the runtimes' conformance suite that a runtime can't keep to, with the reason. docs/reference/runtimes.md shows the
 * same table (a test compares the two): a new skip is a change of the documentation.
 */
export const runtimeSkips: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  docker: ofEngines,
  podman: {
    ...ofEngines,
    "leaves the container running with its input open when a client lets go, and tells its end":
      "with Podman 4.3 it fails now and then; why is not known yet",
    "closes the input with the first who lets go, where the container asks for that":
      "Podman 4.3 leaves a container's input open when the client that is attached ends its own",
    "keep to sinceTime and sinceSeconds":
      "the timestamps of Podman's API are whole seconds: all lines of a second are shown",
  },
};
