import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { ImageEntry } from "../../src/config/nodeConfig.ts";

const passwd = `root:x:0:0:root:/root:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/sh
`;
const group = `root:x:0:
nobody:x:65534:
`;

/**
 * Root filesystems for the images that the tests name, made of what this machine has: Debian's busybox-static and curl, and
 * agnhost and nnp from Kubernetes' own sources.
 * @param programs where scripts/conformance/get.sh has put them
 */
export function makeImages(dir: string, programs: string): ImageEntry[] {
  rmSync(dir, { recursive: true, force: true });
  const busybox = makeRoot(join(dir, "busybox"));
  const agnhost = makeRoot(join(dir, "agnhost"));
  for (const file of ["agnhost", "localhost.crt", "localhost.key"]) cpSync(join(programs, file), join(agnhost, file));
  symlinkSync("agnhost", join(agnhost, "agnhost-2"));
  mkdirSync(join(agnhost, "uploads"));
  addProgram(agnhost, "/usr/bin/curl");
  addProgram(agnhost, join(programs, "nc/nc"));
  // Busybox's shell would take its own nc, whatever PATH says.
  addProgram(agnhost, "/bin/dash");
  for (const name of ["nc", "sh"]) rmSync(join(agnhost, "bin", name));
  symlinkSync("../usr/bin/dash", join(agnhost, "bin/sh"));
  const nnp = makeRoot(join(dir, "nonewprivs"));
  mkdirSync(join(nnp, "usr/local/bin"), { recursive: true });
  cpSync(join(programs, "nnp"), join(nnp, "usr/local/bin/nnp"));
  execFileSync("chmod", ["u+s,g+s", join(nnp, "usr/local/bin/nnp")]);

  const asAgnhost = { rootfs: agnhost, entrypoint: ["/agnhost"], command: ["pause"] };
  return [
    { match: "k8s.gcr.io/e2e-test-images/agnhost:*", ...asAgnhost },
    { match: "k8s.gcr.io/pause:*", ...asAgnhost },
    { match: "docker.io/library/busybox:*", rootfs: busybox, command: ["sh"] },
    { match: "gcr.io/kubernetes-e2e-test-images/nonewprivs:*", rootfs: nnp, command: ["nnp"] },
    // No spec asks them for a page.
    { match: "docker.io/library/nginx:*", ...asAgnhost },
    { match: "docker.io/library/httpd:*", ...asAgnhost },
  ];
}

function makeRoot(root: string): string {
  for (const name of ["bin", "etc", "root", "tmp", "usr/bin", "var"]) mkdirSync(join(root, name), { recursive: true });
  execFileSync("chmod", ["1777", join(root, "tmp")]);
  if (!existsSync("/bin/busybox")) throw new Error("busybox-static is missing: apt-get install busybox-static");
  cpSync("/bin/busybox", join(root, "bin/busybox"));
  for (const name of execFileSync("/bin/busybox", ["--list"], { encoding: "utf8" }).trim().split("\n")) {
    if (name !== "busybox") symlinkSync("busybox", join(root, "bin", name));
  }
  writeFileSync(join(root, "etc/passwd"), passwd);
  writeFileSync(join(root, "etc/group"), group);
  return root;
}

/** With the libraries that it needs, where they are on this machine. */
function addProgram(root: string, program: string): void {
  cpSync(program, join(root, "usr/bin", basename(program)));
  const env = { ...process.env, LD_LIBRARY_PATH: dirname(program) };
  for (const [library] of execFileSync("ldd", [program], { encoding: "utf8", env }).matchAll(/(\/\S+)/g)) {
    // Those that came with the program go where the loader looks.
    const place = library.startsWith(dirname(program)) ? join("/lib", basename(library)) : library;
    mkdirSync(join(root, dirname(place)), { recursive: true });
    cpSync(library, join(root, place), { dereference: true });
  }
}
