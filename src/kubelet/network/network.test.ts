import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Pod } from "../../kube/types.ts";
import { podNames } from "./hostname.ts";
import { hostsFile } from "./hostsFile.ts";
import { parseResolvConf, resolvConf } from "./resolvConf.ts";

const pod = (spec: Partial<NonNullable<Pod["spec"]>>, name = "web-0"): Pod => ({
  metadata: { name, namespace: "shop" },
  spec: { containers: [], ...spec },
});
const host = { hostname: "node1", clusterDomain: "cluster.local" };

describe("a pod's names", () => {
  it.each<[string, Pod, unknown]>([
    ["are its own name", pod({}), { hostname: "web-0" }],
    ["are what it says", pod({ hostname: "db" }), { hostname: "db" }],
    [
      "have the cluster's domain with a subdomain",
      pod({ subdomain: "web" }),
      { hostname: "web-0", fqdn: "web-0.web.shop.svc.cluster.local" },
    ],
    [
      "are the full name where it asks for that",
      pod({ hostname: "db", subdomain: "web", setHostnameAsFQDN: true }),
      { hostname: "db.web.shop.svc.cluster.local", fqdn: "db.web.shop.svc.cluster.local" },
    ],
    ["are the host's on the host's network", pod({ hostNetwork: true, hostname: "db" }), { hostname: "node1" }],
    ["are cut to what the kernel takes", pod({}, `${"x".repeat(62)}-${"y".repeat(9)}`), { hostname: "x".repeat(62) }],
  ])("%s", (_, given, names) => expect(podNames(given, host)).toEqual(names));

  it("that are too long in full are refused, in the kubelet's words", () => {
    expect(podNames(pod({ subdomain: "s".repeat(60), setHostnameAsFQDN: true }), host)).toMatch(/is too long \(64/);
  });
});

describe("/etc/hosts", () => {
  it("has the pod's names and its hostAliases", () => {
    const aliases = [{ ip: "10.1.2.3", hostnames: ["foo.remote", "bar.remote"] }];
    const text = hostsFile(
      pod({ hostAliases: aliases }),
      { hostname: "db", fqdn: "db.web" },
      ["10.0.0.9", "fd::1"],
      "",
    );
    expect(text).toBe(`# Kubernetes-managed hosts file.
127.0.0.1	localhost
::1	localhost ip6-localhost ip6-loopback
fe00::0	ip6-localnet
fe00::0	ip6-mcastprefix
fe00::1	ip6-allnodes
fe00::2	ip6-allrouters
10.0.0.9	db.web	db
fd::1	db.web	db

# Entries added by HostAliases.
10.1.2.3	foo.remote	bar.remote
`);
  });
  it("on the host's network is the host's", () => {
    expect(hostsFile(pod({ hostNetwork: true }), { hostname: "n" }, ["10.0.0.9"], "127.0.0.1 localhost\n")).toBe(
      "# Kubernetes-managed hosts file (host network).\n127.0.0.1 localhost\n",
    );
  });
});

describe("/etc/resolv.conf", () => {
  const cluster = { servers: ["10.0.0.10"], domain: "cluster.local" };
  const ofHost = parseResolvConf(
    "# x\nnameserver 192.0.2.1\ndomain old\nsearch example.org .\noptions timeout:1 edns0\n",
  );
  const text = (spec: Parameters<typeof pod>[0], dns = cluster) => resolvConf(pod(spec), dns, ofHost);

  it("is the cluster's by default", () => {
    expect(text({})).toBe(
      "search shop.svc.cluster.local svc.cluster.local cluster.local example.org\nnameserver 10.0.0.10\noptions ndots:5\n",
    );
  });
  it("is the host's on its network, and with Default", () => {
    const own = "search example.org\nnameserver 192.0.2.1\noptions timeout:1 edns0\n";
    expect(text({ hostNetwork: true })).toBe(own);
    expect(text({ dnsPolicy: "Default" })).toBe(own);
    expect(text({ hostNetwork: true, dnsPolicy: "ClusterFirstWithHostNet" })).toContain("10.0.0.10");
  });
  it("is the host's where the node knows no cluster DNS", () => {
    expect(text({}, { servers: [], domain: "cluster.local" })).toContain("192.0.2.1");
  });
  it("is dnsConfig alone with None, and merges it otherwise", () => {
    const dnsConfig = {
      nameservers: ["1.1.1.1"],
      searches: ["resolv.conf.local"],
      options: [{ name: "ndots", value: "2" }, { name: "edns0" }],
    };
    expect(text({ dnsPolicy: "None", dnsConfig })).toBe(
      "search resolv.conf.local\nnameserver 1.1.1.1\noptions ndots:2 edns0\n",
    );
    expect(text({ dnsConfig })).toBe(
      "search shop.svc.cluster.local svc.cluster.local cluster.local example.org resolv.conf.local\n" +
        "nameserver 10.0.0.10\nnameserver 1.1.1.1\noptions ndots:2 edns0\n",
    );
  });
  it("of a host is read whatever it holds", () => {
    fc.assert(fc.property(fc.string({ unit: "binary" }), (given) => void parseResolvConf(given)));
  });
});
