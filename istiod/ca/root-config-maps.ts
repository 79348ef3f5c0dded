// SPDX-License-Identifier: Apache-2.0
// The root certificate in every namespace, where pods mount it to verify istiod, and likewise a revocation list. It is put back when somebody changes
// or deletes it, and nothing is written while it is right. Of several replicas one does this.

import type { Clock } from '#lib/kit/clock.ts';
import type { Logger } from '#lib/kit/log.ts';
import type { KubeClient } from '#lib/kube/client.ts';
import type { Informer } from '#lib/kube/informer.ts';
import { CONFIG_MAP } from '#lib/kube/kind.ts';
import { Leader } from '#lib/kube/leader.ts';
import type { ConfigMap, Namespace } from '#lib/kube/object.ts';
import { WorkQueue } from '#lib/kube/work-queue.ts';

const LEASE = 'ambit-namespace-controller';
const ROOT_KEY = 'root-cert.pem';
const LABELS = { 'istio.io/config': 'true' } as const;
const FIELD_MANAGER = 'ambit-istiod-root';
/** Nothing that needs the root runs there, and some distributions forbid writing. */
const EXCLUDED: ReadonlySet<string> = new Set(['kube-public', 'kube-node-lease', 'local-path-storage']);

export interface RootConfigMapsOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Logger;
  /** Where the lease lies, by which replicas agree, and the name of this replica in it. */
  readonly namespace: string;
  readonly identity: string;
  readonly leaseSeconds: number;
  /** Of the config maps. */
  readonly name: string;
  readonly namespaces: Informer<Namespace>;
  /** Of the config maps of that name only. */
  readonly configMaps: Informer<ConfigMap>;
  /** What they hold, under which key; undefined while there is nothing. The default key is that of the root. */
  readonly content: () => string | undefined;
  readonly key?: string;
  /** Of the replicas that do this; the default is that of the root. */
  readonly lease?: string;
  /** Whether this replica's revision goes first: one writes for all. */
  readonly goesFirst: () => boolean;
}

export class RootConfigMaps {
  readonly #options: RootConfigMapsOptions;
  readonly #queue: WorkQueue;
  readonly #leader: Leader;

  constructor(options: RootConfigMapsOptions) {
    this.#options = options;
    this.#queue = new WorkQueue({
      name: 'the root certificate of a namespace',
      clock: options.clock,
      log: options.log,
      concurrency: 4,
      reconcile: (namespace) => this.#reconcile(namespace),
    });
    const { client, clock, goesFirst, identity, lease = LEASE, leaseSeconds, log, namespace } = options;
    const lead = (): void => this.refresh();
    this.#leader = new Leader({ client, clock, log, namespace, name: lease, identity, leaseSeconds, goesFirst, lead });
  }

  /** Call it once both informers are synced, or the first pass would write what is right already. */
  start(): void {
    const { configMaps, name, namespaces } = this.#options;
    this.#leader.start();
    namespaces.subscribe((changes) => {
      for (const change of changes) if (change.op === 'set') this.#queue.add(change.key);
    });
    configMaps.subscribe((changes) => {
      for (const { key } of changes) this.#queue.add(key.slice(0, key.length - name.length - 1));
    });
  }

  /** The root has changed: every namespace is looked at. */
  refresh(): void {
    for (const namespace of this.#options.namespaces.values()) this.#queue.add(namespace.metadata.name);
  }

  async stop(): Promise<void> {
    this.#queue.stop();
    await this.#leader.stop();
  }

  async #reconcile(namespace: string): Promise<void> {
    const { client, configMaps, content, key = ROOT_KEY, name, namespaces } = this.#options;
    if (!this.#leader.leading) return;
    const found = namespaces.get(namespace);
    if (found === undefined || found.metadata.deletionTimestamp !== undefined || EXCLUDED.has(namespace)) return;
    const value = content();
    if (value === undefined || configMaps.get(`${namespace}/${name}`)?.data?.[key] === value) return;
    const wanted = { metadata: { name, namespace, labels: LABELS }, data: { [key]: value } };
    await client.apply(CONFIG_MAP, wanted, { fieldManager: FIELD_MANAGER, force: true });
  }
}
