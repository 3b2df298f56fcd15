import { readdirSync, readFileSync } from "node:fs";
import { performance } from "node:perf_hooks";
import { getHeapStatistics } from "node:v8";
import type { Family } from "./exposition.ts";

type Utilization = ReturnType<typeof performance.eventLoopUtilization>;

/** The agent's own process, under the names that Prometheus' client libraries give them. */
export class ProcessMetrics {
  #before: Utilization = performance.eventLoopUtilization();

  /** Waits one turn of the event loop, which is how its lag is known. */
  async families(): Promise<Family[]> {
    const asked = performance.now();
    await new Promise(setImmediate);
    const lag = (performance.now() - asked) / 1000;
    const { userCPUTime, systemCPUTime } = process.resourceUsage();
    const memory = process.memoryUsage();
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, this.#before);
    this.#before = now;
    const gauge = (name: string, help: string, value: number | undefined): Family => ({
      name,
      help,
      type: "gauge",
      samples: value === undefined ? [] : [{ value }],
    });
    const started = performance.timeOrigin / 1000;
    const cpu = (userCPUTime + systemCPUTime) / 1e6;
    return [
      {
        name: "process_cpu_seconds_total",
        help: "Total user and system CPU time spent in seconds.",
        type: "counter",
        samples: [{ value: cpu }],
      },
      gauge("process_resident_memory_bytes", "Resident memory size in bytes.", memory.rss),
      gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds.", started),
      gauge("process_open_fds", "Number of open file descriptors.", openFiles()),
      gauge("process_max_fds", "Maximum number of open file descriptors.", mostFiles()),
      gauge("nodejs_heap_size_total_bytes", "Process heap size from Node.js in bytes.", memory.heapTotal),
      gauge("nodejs_heap_size_used_bytes", "Process heap size used from Node.js in bytes.", memory.heapUsed),
      gauge("nodejs_heap_size_limit_bytes", "Most that the heap may grow to.", getHeapStatistics().heap_size_limit),
      gauge("nodejs_external_memory_bytes", "Node.js external memory size in bytes.", memory.external),
      gauge("nodejs_eventloop_lag_seconds", "Lag of event loop in seconds.", lag),
      gauge(
        "nodejs_eventloop_utilization",
        "Share of time that the event loop worked since the last scrape.",
        utilization,
      ),
      {
        name: "nodejs_version_info",
        help: "Node.js version info.",
        type: "gauge",
        samples: [{ labels: { version: process.version }, value: 1 }],
      },
    ];
  }
}

function openFiles(): number | undefined {
  try {
    return readdirSync("/proc/self/fd").length;
  } catch {
    return undefined;
  }
}

function mostFiles(): number | undefined {
  const found = /^Max open files +(\d+)/m.exec(readFileSync("/proc/self/limits", "latin1"))?.[1];
  return found === undefined ? undefined : Number(found);
}
