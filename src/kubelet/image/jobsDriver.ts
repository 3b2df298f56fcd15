/**
 * Runs jobs one after another and stops at the first that fails, with its exit code. Nothing is pasted into it: command,
 * jobs and arguments come as positional parameters, each list with its length before it. A job runs in the background so
 * that SIGTERM reaches it at once (bash handles a signal only after a job in the foreground), with the standard input
 * that a background job would lose; after SIGTERM no further job begins.
 */
const script = `
count=$1; shift
command=("\${@:1:count}"); shift "$count"
count=$1; shift
jobs=("\${@:1:count}"); shift "$count"
stopping= interrupted= child=
trap 'stopping=1 interrupted=1; [ -z "$child" ] || kill -TERM "$child" 2>/dev/null' TERM
for job in "\${jobs[@]}"; do
  [ -z "$stopping" ] || exit 143
  child=
  "\${command[@]}" "$job" "$@" <&0 &
  child=$!
  [ -z "$stopping" ] || kill -TERM "$child" 2>/dev/null
  interrupted=1
  while [ -n "$interrupted" ]; do interrupted=; wait "$child"; status=$?; done
  [ "$status" -eq 0 ] || exit "$status"
done
`;

/** The command line that runs `<command> <job> <args>` for each job. */
export function jobsCommand(command: string[], jobs: string[], args: string[]): string[] {
  return ["bash", "-c", script, "jobs", String(command.length), ...command, String(jobs.length), ...jobs, ...args];
}
