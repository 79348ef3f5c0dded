// SPDX-License-Identifier: Apache-2.0
// The soaked waypoint as its machine sees it: processes, memory, descriptors; and what its metrics tell.
import { readdirSync, readFileSync } from 'node:fs';
import type { Cluster } from '../../harness/cluster.ts';
import { ownMb } from '../../load/usage.ts';
import { NAMESPACE, WAYPOINT } from './objects.ts';

export class SoakedWaypoint {
  readonly #cluster: Cluster;
  readonly #pod: string;

  private constructor(cluster: Cluster, pod: string) {
    this.#cluster = cluster;
    this.#pod = pod;
  }

  static async of(cluster: Cluster): Promise<SoakedWaypoint> {
    const [pod] = await cluster.pods(NAMESPACE, `gateway.networking.k8s.io/gateway-name=${WAYPOINT}`);
    if (pod === undefined) throw new Error('the waypoint has no pod');
    return new SoakedWaypoint(cluster, pod.name);
  }

  memoryMb(): number {
    return ownMb(this.#pids());
  }

  /** Descriptors of all its processes. */
  descriptors(): number {
    return this.#pids().reduce((sum, pid) => sum + readdirSync(`/proc/${pid}/fd`).length, 0);
  }

  /** Data-plane processes that ended by themselves so far. */
  async restarts(): Promise<number> {
    const log = await this.log();
    return log.match(/data-plane process ended unexpectedly/g)?.length ?? 0;
  }

  /** Its warnings and errors. */
  async complaints(): Promise<string[]> {
    return (await this.log()).split('\n').filter((line) => /\t(warn|error)\t/.test(line));
  }

  log(): Promise<string> {
    return this.#cluster.kubectl('logs', '-n', NAMESPACE, this.#pod, '--tail=-1');
  }

  /** How often it was given a certificate. */
  async certificates(): Promise<number> {
    return (await this.log()).match(/certificate issued/g)?.length ?? 0;
  }

  /** Its main process knows its pod's name; the data-plane processes are that one's children. */
  #pids(): number[] {
    const mains = readdirSync('/proc')
      .filter((entry) => /^\d+$/.test(entry))
      .map(Number)
      .filter((pid) => readIfAny(`/proc/${pid}/environ`).split('\0').includes(`POD_NAME=${this.#pod}`));
    const children = mains.flatMap((pid) =>
      readIfAny(`/proc/${pid}/task/${pid}/children`).trim().split(' ').filter(Boolean).map(Number),
    );
    return [...new Set([...mains, ...children])];
  }
}

function readIfAny(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
