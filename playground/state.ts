// SPDX-License-Identifier: Apache-2.0
// What a cluster keeps on disk while it runs, and how another process finds it: one folder a cluster, gone with it.
import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AmbitError } from '#lib/kit/error.ts';

/** The folder's files. Made by `up`, removed by the keeper. */
export interface StatePaths {
  readonly dir: string;
  readonly config: string;
  readonly record: string;
  /** For people and tools on this machine. */
  readonly kubeconfig: string;
  /** HTTP over a Unix socket to the cluster's supervisor. */
  readonly control: string;
  /** Unix socket that leads to an API server outside. */
  readonly uplink: string;
  /** Unix socket of a proxy into the cluster's network, for an API server outside. */
  readonly network: string;
  readonly logs: string;
  /** Data of the embedded API server. */
  readonly api: string;
  readonly nodes: string;
  /** A tmpfs inside the cluster's mount namespace: machines' and containers' files. */
  readonly run: string;
}

export interface ClusterRecord {
  readonly name: string;
  /** All clusters that were brought up together, this one included; the first stands for all of them. */
  readonly members: readonly string[];
  /** Process outside the namespaces that ends the cluster on SIGTERM. */
  readonly keeperPid: number;
  /** Start time of the keeper, clock ticks after boot: a number used again is not the keeper. */
  readonly keeperStart: string;
  /** The cluster's control group, removed at the end. */
  readonly group?: string | undefined;
  readonly ready: boolean;
  readonly kubeconfig: string;
}

export function statePaths(root: string, name: string): StatePaths {
  const dir = join(root, name);
  return {
    dir,
    config: join(dir, 'config.json'),
    record: join(dir, 'cluster.json'),
    kubeconfig: join(dir, 'kubeconfig'),
    control: join(dir, 'control.sock'),
    uplink: join(dir, 'uplink.sock'),
    network: join(dir, 'network.sock'),
    logs: join(dir, 'log'),
    api: join(dir, 'api'),
    nodes: join(dir, 'nodes'),
    run: join(dir, 'run'),
  };
}

export function writeRecord(paths: StatePaths, record: ClusterRecord): void {
  writeFileSync(`${paths.record}.new`, `${JSON.stringify(record, null, 2)}\n`);
  renameSync(`${paths.record}.new`, paths.record);
}

/** The record of a cluster, running or not; undefined when there is none. */
export function readRecord(paths: StatePaths): ClusterRecord | undefined {
  return existsSync(paths.record) ? (JSON.parse(readFileSync(paths.record, 'utf8')) as ClusterRecord) : undefined;
}

/** Whether the cluster's keeper lives. */
export function isRunning(record: ClusterRecord): boolean {
  return startTime(record.keeperPid) === record.keeperStart;
}

/** Field 22 of proc_pid_stat(5); undefined when there is no such process, or only its remains. */
export function startTime(pid: number): string | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ');
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

/** The running cluster `name`. Throws `PLAYGROUND_DOWN` when there is none. */
export function runningCluster(root: string, name: string): { paths: StatePaths; record: ClusterRecord } {
  const paths = statePaths(root, name);
  const record = readRecord(paths);
  if (record !== undefined && isRunning(record)) return { paths, record };
  const others = clusterNames(root).filter((other) => other !== name);
  throw new AmbitError('PLAYGROUND_DOWN', `no playground named ${name} is running`, {
    advice: others.length === 0 ? 'start one: ambit playground up' : `pass --name, one of: ${others.join(', ')}`,
  });
}

/** Clusters that have a state folder. */
export function clusterNames(root: string): string[] {
  return existsSync(root) ? readdirSync(root).filter((name) => existsSync(join(root, name, 'cluster.json'))) : [];
}
