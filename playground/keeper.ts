// SPDX-License-Identifier: Apache-2.0
// The keeper: a shell outside the cluster's namespaces that starts the cluster and, when it has ended in whatever way,
// removes what namespaces do not take with them: control groups and the state folder. If the keeper is killed, the
// kernel kills the cluster (parent-death signals), and the next `up` or `down` removes the rest.
import { existsSync, readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { startTime } from './state.ts';

const SWEEP_ATTEMPTS = 100;
const SWEEP_PAUSE_MS = 30;

// $1 state folder, $2 control group or '', $3 shell text of the uplink or ''; the rest is the cluster's command.
// Descriptors 3 and 4 belong to the cluster; `up` sees 3 close when everything is removed.
// Whoever started it, what it makes is for the users of its pods to read.
export const KEEPER = `umask 022
state=$1 group=$2 uplink=$3
shift 3
if [ -n "$uplink" ]; then
  setpriv --pdeathsig KILL /bin/sh -c "exec $uplink" 3>&- 4>&- &
  uplink=$!
fi
setpriv --pdeathsig KILL "$@" &
cluster=$!
end() {
  read -r inner rest < /proc/$cluster/task/$cluster/children
  kill -KILL $cluster 2>/dev/null
}
trap end TERM INT HUP
while kill -0 $cluster 2>/dev/null; do wait $cluster; done
# Process 1 of the namespace is gone only after all the others are.
for inner in $inner; do while kill -0 $inner 2>/dev/null; do sleep 0.02; done; done
[ -z "$uplink" ] || kill -KILL $uplink 2>/dev/null
n=0
while [ -n "$group" ] && [ -d "$group" ] && [ $n -lt 100 ]; do
  find "$group" -depth -type d -exec rmdir {} + 2>/dev/null
  [ ! -d "$group" ] || sleep 0.05
  n=$((n + 1))
done
[ -e "$state/keep" ] || rm -rf "$state"
`;

export interface KeeperCommand {
  readonly stateDir: string;
  readonly group: string | undefined;
  /** Words of the uplink's command, none without an API server outside. */
  readonly uplink: readonly string[];
  readonly cluster: readonly string[];
}

/** The arguments for `/bin/sh`. */
export function keeperArguments({ stateDir, group, uplink, cluster }: KeeperCommand): string[] {
  return ['-c', KEEPER, 'keeper', stateDir, group ?? '', uplink.map(quoted).join(' '), ...cluster];
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

/** Ends a cluster by its keeper and waits until it is gone. Returns false when it was gone already. */
export async function endKeeper(pid: number, start: string, withinMs: number): Promise<boolean> {
  if (startTime(pid) !== start) return false;
  process.kill(pid, 'SIGTERM');
  const deadline = performance.now() + withinMs;
  while (startTime(pid) === start) {
    if (performance.now() > deadline) {
      process.kill(pid, 'SIGKILL');
      return true;
    }
    await delay(20);
  }
  return true;
}

/** Removes what a killed keeper left. The last processes of a cluster may still be ending, so a group is tried for a while. */
export async function sweep(dir: string, group: string | undefined): Promise<void> {
  for (let attempt = 0; group !== undefined && attempt < SWEEP_ATTEMPTS; attempt++) {
    removeGroups(group);
    if (!existsSync(group)) break;
    await delay(SWEEP_PAUSE_MS);
  }
  rmSync(dir, { recursive: true, force: true });
}

function removeGroups(path: string): void {
  if (!existsSync(path)) return;
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) removeGroups(`${path}/${entry.name}`);
  }
  try {
    rmdirSync(path);
  } catch {
    // A process is still in it; it goes with the next sweep.
  }
}

/** The processes that `pid` started, as this namespace numbers them. */
export function childrenOf(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
    return text === '' ? [] : text.split(' ').map(Number);
  } catch {
    return [];
  }
}
