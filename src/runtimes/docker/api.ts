/** What of the Engine API's answers is read. */
export interface EngineVersion {
  Version: string;
  MinAPIVersion?: string;
  Components?: { Name: string }[];
}

export interface ContainerState {
  /** created, running, paused, restarting, removing, exited, dead; Podman: configured, initialized, stopped, too */
  Status: string;
  Running?: boolean;
  OOMKilled?: boolean;
  Pid?: number;
  ExitCode: number;
  Error?: string;
  StartedAt: string;
  FinishedAt: string;
}

export interface ContainerInspect {
  Id: string;
  Created: string;
  State: ContainerState;
  Config: { Labels: Record<string, string> | null; Tty?: boolean; OpenStdin?: boolean; StdinOnce?: boolean };
}

export interface ContainerListed {
  Id: string;
  Labels: Record<string, string> | null;
  State: string;
}

export interface ImageInspect {
  Id: string;
  RepoTags?: string[] | null;
  RepoDigests?: string[] | null;
  Size?: number;
  Config?: {
    Entrypoint?: string[] | null;
    Cmd?: string[] | null;
    Env?: string[] | null;
    WorkingDir?: string;
    User?: string;
  } | null;
}

export interface EngineEvent {
  Type?: string;
  Action?: string;
  Actor?: { ID?: string; Attributes?: Record<string, string> };
}

export interface StatsAnswer {
  read?: string;
  cpu_stats?: { cpu_usage?: { total_usage?: number } };
  memory_stats?: { usage?: number; stats?: Record<string, number> };
  pids_stats?: { current?: number };
}
