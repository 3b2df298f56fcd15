import { type Logger as PinoLogger, pino } from "pino";

/** Structured log, one JSON object a line. Child loggers carry `pod`, `container` and the like; never a Secret's value. */
export type Logger = PinoLogger;
export type LogLevel = "fatal" | "error" | "warn" | "info" | "debug" | "trace" | "silent";

/** @param destination a file descriptor (2 = standard error, the default) or a path */
export function createLogger(level: LogLevel = "info", destination: number | string = 2): Logger {
  return pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ dest: destination, sync: true }),
  );
}

export const silentLogger: Logger = pino({ level: "silent" });
