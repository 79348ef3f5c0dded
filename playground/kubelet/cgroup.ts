// SPDX-License-Identifier: Apache-2.0
// A control group for each pod, named as a kubelet with the cgroupfs driver names it. It limits nothing: it is how
// programs on a node, the CNI agent above all, tell which pod a process belongs to.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';

/** The group of one pod below the node's group, as the kubelet's cgroupfs driver lays them out. */
export function podGroup(nodeGroup: string, qos: string, uid: string): string {
  const kubepods = join(nodeGroup, 'kubepods');
  return qos === 'Guaranteed' ? join(kubepods, `pod${uid}`) : join(kubepods, qos.toLowerCase(), `pod${uid}`);
}

/** Makes the group; the path of its `cgroup.procs` is where a process writes 0 to join. */
export function makeGroup(path: string): string {
  mkdirSync(path, { recursive: true });
  return join(path, 'cgroup.procs');
}

/** Every process of the group, as ids of the reader's PID namespace. */
export function groupMembers(path: string): number[] {
  if (!existsSync(path)) return [];
  return readFileSync(join(path, 'cgroup.procs'), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map(Number);
}

/** Removes the group and those below it. Returns false while a process is still in one of them. */
export function removeGroup(path: string): boolean {
  if (!existsSync(path)) return true;
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory() && !removeGroup(join(path, entry.name))) return false;
  }
  try {
    rmdirSync(path);
    return true;
  } catch {
    return false;
  }
}
