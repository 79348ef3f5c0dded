// SPDX-License-Identifier: Apache-2.0
// A playground cluster under test: brought up through the CLI as a user would, asked through real kubectl.
import { join } from 'node:path';
import { cacheFolder, kubernetesTool } from '../../playground/kubernetes-tools.ts';
import { eventually } from './eventually.ts';
import { type Ran, ROOT, run, tryRun } from './run.ts';

const AMBIT = join(ROOT, 'bin/ambit');

export interface ClusterNode {
  readonly name: string;
  /** Path of its network namespace, for nsenter. */
  readonly netns: string;
  /** Its link to the other nodes. */
  readonly device: string;
}

export interface ClusterOptions {
  readonly name: string;
  readonly nodes?: number;
  /** More words for `ambit playground up`. */
  readonly args?: readonly string[];
  /** Called when it does not come up, before it is taken down; pass `--keep` in `args` to find anything then. */
  readonly onFailure?: () => Promise<void>;
  /** Aborted, it comes up no further. */
  readonly ended?: AbortSignal;
}

interface Status {
  readonly kubeconfig: string;
  readonly nodes: readonly ClusterNode[];
}

export interface PodFacts {
  readonly name: string;
  readonly uid: string;
  readonly node: string;
  readonly ips: readonly string[];
  readonly ready: boolean;
  readonly restarts: number;
  readonly redirection: string | undefined;
}

export class Cluster implements AsyncDisposable {
  readonly name: string;
  readonly #status: Status;
  /** Path of the real kubectl. */
  readonly #tool: string;

  private constructor(name: string, status: Status, tool: string) {
    this.name = name;
    this.#status = status;
    this.#tool = tool;
  }

  /** Brings a playground up; takes it down again when that fails half-way. */
  static async up({ name, nodes = 2, args = [], onFailure, ended }: ClusterOptions): Promise<Cluster> {
    try {
      await run(AMBIT, ['playground', 'up', '--name', name, '--nodes', String(nodes), '--timeout', '240', ...args], {
        timeoutMs: 300_000,
        ...(ended === undefined ? {} : { signal: ended }),
      });
      return await Cluster.of(name);
    } catch (error) {
      if (!ended?.aborted) await onFailure?.();
      await tryRun(AMBIT, ['playground', 'down', '--name', name]);
      throw error;
    }
  }

  /** A playground that is up, as the second of several that came up together. */
  static async of(name: string): Promise<Cluster> {
    const status = await run(AMBIT, ['playground', 'status', '--name', name, '-o', 'json']);
    const tool = await kubernetesTool('kubectl', cacheFolder(process.env), () => {});
    return new Cluster(name, JSON.parse(status) as Status, tool);
  }

  async down(): Promise<void> {
    await run(AMBIT, ['playground', 'down', '--name', this.name]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.down();
  }

  get nodes(): readonly ClusterNode[] {
    return this.#status.nodes;
  }

  get kubeconfig(): string {
    return this.#status.kubeconfig;
  }

  node(name: string): ClusterNode {
    const node = this.nodes.find((candidate) => candidate.name === name);
    if (node === undefined) throw new Error(`no node ${name} in ${this.nodes.map((each) => each.name).join(', ')}`);
    return node;
  }

  /** `ambit …` against this cluster. */
  ambit(...args: string[]): Promise<Ran> {
    return tryRun(AMBIT, args, { env: { KUBECONFIG: this.kubeconfig } });
  }

  /** `ambit playground VERB …` for this cluster. */
  playground(verb: string, ...args: string[]): Promise<string> {
    return run(AMBIT, ['playground', verb, '--name', this.name, ...args]);
  }

  kubectl(...args: string[]): Promise<string> {
    return this.#kubectl(args);
  }

  tryKubectl(...args: string[]): Promise<Ran> {
    return tryRun(this.#tool, args, { env: { KUBECONFIG: this.kubeconfig } });
  }

  /** Applies a file of the project, or YAML text when it has several lines. */
  async apply(fileOrYaml: string): Promise<void> {
    if (fileOrYaml.includes('\n')) await this.#kubectl(['apply', '-f', '-'], fileOrYaml);
    else await this.#kubectl(['apply', '-f', join(ROOT, fileOrYaml)]);
  }

  async get<T>(...args: string[]): Promise<T> {
    return JSON.parse(await this.#kubectl(['get', ...args, '-o', 'json'])) as T;
  }

  /** Runs a command in a pod (`deploy/web`, `web-0`), which may fail. */
  exec(namespace: string, target: string, ...command: string[]): Promise<Ran> {
    return this.tryKubectl('exec', '-n', namespace, target, '--', ...command);
  }

  async pods(namespace: string, selector = ''): Promise<PodFacts[]> {
    const { items } = await this.get<{ items: RawPod[] }>(
      'pods',
      '-n',
      namespace,
      ...(selector === '' ? [] : ['-l', selector]),
    );
    return items.map(factsOf);
  }

  /** Waits until every pod of the namespace is ready, and there are at least `least`. */
  async ready(namespace: string, least = 1, withinMs = 120_000): Promise<PodFacts[]> {
    return await eventually(
      `pods of ${namespace} to be ready`,
      async () => {
        const pods = await this.pods(namespace);
        return pods.length >= least && pods.every((pod) => pod.ready) && pods;
      },
      { withinMs, everyMs: 300 },
    );
  }

  #kubectl(args: readonly string[], input?: string): Promise<string> {
    return run(this.#tool, args, {
      env: { KUBECONFIG: this.kubeconfig },
      ...(input === undefined ? {} : { input }),
    });
  }
}

interface RawPod {
  readonly metadata: { readonly name: string; readonly uid: string; readonly annotations?: Record<string, string> };
  readonly spec: { readonly nodeName?: string };
  readonly status?: {
    readonly podIPs?: readonly { readonly ip: string }[];
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly containerStatuses?: readonly { readonly restartCount: number }[];
  };
}

function factsOf({ metadata, spec, status }: RawPod): PodFacts {
  return {
    name: metadata.name,
    uid: metadata.uid,
    node: spec.nodeName ?? '',
    ips: (status?.podIPs ?? []).map(({ ip }) => ip),
    ready: (status?.conditions ?? []).some(({ type, status }) => type === 'Ready' && status === 'True'),
    restarts: (status?.containerStatuses ?? []).reduce((sum, { restartCount }) => sum + restartCount, 0),
    redirection: metadata.annotations?.['ambient.istio.io/redirection'],
  };
}
