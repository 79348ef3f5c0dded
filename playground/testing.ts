// SPDX-License-Identifier: Apache-2.0
// For the playground's own tests: a cluster without the mesh, and pods that run a script and tell what it printed.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { KubeClient } from '#lib/kube/client.ts';
import { connectKube } from '#lib/kube/connect.ts';
import { configOf, type PlaygroundConfig } from './config.ts';
import { POD, type PodObject, type PodSpec } from './kubelet/pod.ts';
import { statePaths } from './state.ts';
import { down, up } from './up.ts';

const WAIT_MS = 120_000;

/** Waits until `step` gives something; `what` is told when it does not. */
export async function eventually<T>(
  what: string,
  step: () => Promise<T | undefined | false> | T | undefined | false,
): Promise<T> {
  const deadline = performance.now() + WAIT_MS;
  for (;;) {
    const value = await step();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > deadline) throw new Error(`waited ${WAIT_MS / 1000} s in vain for ${what}`);
    await delay(50);
  }
}

export function testConfig(stateRoot: string, name: string, nodes: number): PlaygroundConfig {
  const flags = {
    name,
    nodes: String(nodes),
    clusters: '1',
    machines: '0',
    program: [],
    image: [],
    manifest: [],
    keep: false,
    mesh: false,
    timeout: '240',
  };
  return configOf(flags, { ...process.env, AMBIT_PLAYGROUND_DIR: stateRoot }, join(import.meta.dirname, '..'));
}

export class TestCluster implements AsyncDisposable {
  readonly config: PlaygroundConfig;
  readonly client: KubeClient;
  #count = 0;

  private constructor(config: PlaygroundConfig) {
    this.config = config;
    this.client = connectKube({ kubeconfig: statePaths(config.stateRoot, config.name).kubeconfig });
  }

  static async up(nodes = 2): Promise<TestCluster> {
    const config = testConfig(mkdtempSync(join(tmpdir(), 'ambit-test-')), `test-${process.pid}`, nodes);
    await up(config, () => undefined);
    return new TestCluster(config);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.close();
    await down(this.config.stateRoot, this.config.name);
    rmSync(this.config.stateRoot, { recursive: true, force: true });
  }

  name(prefix: string): string {
    return `${prefix}-${++this.#count}`;
  }

  /** Makes a pod of one shell container; `spec` and `container` add to it. */
  async pod(
    name: string,
    script: string,
    { spec = {}, container = {}, labels = {} }: PodParts = {},
  ): Promise<PodObject> {
    return await this.client.create(POD, {
      metadata: { name, namespace: 'default', labels },
      spec: {
        restartPolicy: 'Never',
        terminationGracePeriodSeconds: 5,
        containers: [{ name: 'main', image: 'busybox', command: ['/bin/sh', '-c', script], ...container }],
        ...spec,
      },
    });
  }

  /** Runs a script in a pod to its end and gives what it printed. */
  async run(script: string, parts: PodParts = {}): Promise<string> {
    const name = this.name('run');
    await this.pod(name, script, parts);
    await this.until(name, `${name} to end`, (pod) => ['Succeeded', 'Failed'].includes(pod.status?.phase ?? ''));
    const text = await this.log(name);
    await this.client.delete(POD, { namespace: 'default', name });
    return text;
  }

  async log(name: string, query: Record<string, string> = {}): Promise<string> {
    return await this.client.text(`/api/v1/namespaces/default/pods/${name}/log`, { query });
  }

  async until(name: string, what: string, holds: (pod: PodObject) => boolean): Promise<PodObject> {
    return await eventually(what, async () => {
      const pod = await this.client.get(POD, { namespace: 'default', name });
      return pod !== undefined && holds(pod) && pod;
    });
  }
}

export interface PodParts {
  readonly spec?: Partial<PodSpec>;
  readonly container?: Partial<PodSpec['containers'][number]>;
  readonly labels?: Readonly<Record<string, string>>;
}

export function isReady(pod: PodObject): boolean {
  return pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
}
