// SPDX-License-Identifier: Apache-2.0
// One node of a soak: the real ztunnel with its data-plane processes, a node agent that announces pods to it, and what its processes hold.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { NodeAgent } from '#lib/testkit/node-agent.ts';
import type { PodNetwork, TestPod } from '#lib/testkit/pod-network.ts';
import { type Background, background, ROOT } from '../harness/run.ts';
import { familyOf, ownMb } from '../load/usage.ts';

/** A pod as it lives now: the same namespace comes and goes under other names. */
export interface Enrolled {
  readonly uid: string;
  readonly name: string;
  readonly serviceAccount: string;
  readonly pod: TestPod;
}

export const NAMESPACE = 'soak';

export class SoakNode implements AsyncDisposable {
  readonly name: string;
  readonly enrolled = new Map<string, Enrolled>();
  readonly #agent = new NodeAgent();
  readonly #process: Background;

  constructor(name: string, network: PodNetwork, env: Readonly<Record<string, string>>) {
    this.name = name;
    const home = network.pod(`home-${name}`, { captured: false });
    const words = ['netns', 'exec', network.netnsName(home), join(ROOT, 'bin/ztunnel'), 'proxy', 'ztunnel'];
    this.#process = background('ip', words, {
      ...{ NODE_NAME: name, INPOD_UDS: this.#agent.path, FAKE_CA: 'true', XDS_ADDRESS: '', ...env },
    });
  }

  /** Waits for the proxy and tells it of its first pods. */
  async begin(pods: readonly Enrolled[]): Promise<void> {
    await this.#agent.accept(60_000);
    for (const pod of pods) await this.add(pod);
    const refused = await this.#agent.snapshot();
    if (refused !== '') throw new Error(`${this.name}: ${refused}`);
  }

  async add(one: Enrolled): Promise<void> {
    const { name, pod, serviceAccount, uid } = one;
    this.enrolled.set(uid, one);
    const refused = await this.#agent.add({ uid, name, namespace: NAMESPACE, serviceAccount }, pod.netns.fd);
    if (refused !== '') throw new Error(`${this.name}, pod ${name}: ${refused}`);
  }

  async remove({ uid }: Enrolled): Promise<void> {
    this.enrolled.delete(uid);
    await this.#agent.ask({ case: 'del', value: { uid } });
  }

  /** Everything it wrote. */
  output(): string {
    return this.#process.output();
  }

  get pids(): number[] {
    return familyOf([this.#process.process.pid!]);
  }

  memoryMb(): number {
    return ownMb(this.pids);
  }

  /** Descriptors of all its processes. */
  descriptors(): number {
    return this.pids.reduce((sum, pid) => sum + readdirSync(`/proc/${pid}/fd`).length, 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process.stop('SIGTERM');
    this.#agent[Symbol.dispose]();
  }
}
