// SPDX-License-Identifier: Apache-2.0
// Machines that register: while one is connected its WorkloadEntry is there, made from its WorkloadGroup; when it has
// been gone for a while the entry goes too. What it says of its health becomes the entry's condition.
//
//   connected ──last stream ends──▶ disconnected ──grace──▶ entry deleted (of a registered one), condition removed
//       ▲                               │
//       └────────connects again─────────┘

import { status as Code } from '@grpc/grpc-js';
import type { Clock } from '#lib/kit/clock.ts';
import { describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import type { KubeClient } from '#lib/kube/client.ts';
import { isKubeError } from '#lib/kube/error.ts';
import type { Informer } from '#lib/kube/informer.ts';
import { WORKLOAD_ENTRY } from '#lib/kube/kind.ts';
import type { GenericObject } from '#lib/kube/object.ts';
import { WorkQueue } from '#lib/kube/work-queue.ts';
import { parseIdentity } from '#lib/mesh/identity.ts';
import type { WorkloadEntry, WorkloadGroup } from '#lib/model/object/entry.ts';
import type { Admission } from '#lib/xds/server.ts';
import type { Peer } from '#lib/xds/server-stream.ts';
import type { IstiodMetrics } from '../metrics.ts';
import {
  CONNECTED_AT,
  CONTROLLER,
  DISCONNECTED_AT,
  HEALTH_CHECKED,
  isAbandoned,
  type Machine,
  machineOf,
  registeredEntry,
} from './machine.ts';

const HEALTH_MANAGER = 'ambit-istiod-health';
/** Between deletions of a sweep: 20 a second. */
const SWEEP_STEP_MS = 50;

export interface RegistrationOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: IstiodMetrics;
  readonly groups: Informer<GenericObject>;
  readonly entries: Informer<GenericObject>;
  /** Name of this istiod, which answers for the entries it makes. */
  readonly instance: string;
  /** How long a machine may be gone before its entry is. */
  readonly graceMs: number;
  /** How old a client's stream may grow. */
  readonly maxAgeMs: number;
}

interface Presence {
  readonly machine: Machine;
  streams: number;
  /** Last word of its agent. */
  health: { readonly healthy: boolean; readonly message: string; readonly at: string } | undefined;
  /** Ends the wait after the last stream. */
  cancel: () => void;
  gone: boolean;
}

export class Registration {
  readonly #options: RegistrationOptions;
  readonly #queue: WorkQueue;
  readonly #present = new Map<string, Presence>();
  readonly #stop = new AbortController();

  constructor(options: RegistrationOptions) {
    this.#options = options;
    const { clock, log } = options;
    this.#queue = new WorkQueue({
      name: 'the WorkloadEntry of a machine',
      clock,
      log,
      concurrency: 4,
      reconcile: (key) => this.#reconcile(key),
    });
  }

  /** Begins to clear away entries that nobody answers for. */
  start(): void {
    void this.#sweep(this.#stop.signal);
  }

  stop(): void {
    this.#stop.abort();
    this.#queue.stop();
    for (const { cancel } of this.#present.values()) cancel();
  }

  /** Whether a client that is let in may also be the machine it says. */
  judge(peer: Pick<Peer, 'id' | 'metadata'>, admission: Admission): Admission {
    const machine = machineOf(peer);
    if (!admission.ok || machine === undefined) return admission;
    const no = (code: Code, reason: string): Admission => ({ ok: false, code, reason });
    const { entries, groups } = this.#options;
    const { group, name, namespace } = machine;
    const spec =
      group === undefined
        ? (entries.get(`${namespace}/${name}`) as WorkloadEntry | undefined)?.spec
        : ((groups.get(`${namespace}/${group}`) as WorkloadGroup | undefined)?.spec?.template ?? {});
    const missing = group === undefined ? spec === undefined : groups.get(`${namespace}/${group}`) === undefined;
    if (missing) {
      const wanted = group === undefined ? `WorkloadEntry ${namespace}/${name}` : `WorkloadGroup ${namespace}/${group}`;
      return no(Code.FAILED_PRECONDITION, `${wanted} does not exist`);
    }
    const identity = parseIdentity(admission.identity);
    if (identity === undefined) return no(Code.PERMISSION_DENIED, 'a machine registers with a proven identity only');
    if (identity.namespace !== namespace) {
      return no(Code.PERMISSION_DENIED, `${identity.uri} may not register in namespace ${namespace}`);
    }
    const account = spec?.serviceAccount ?? '';
    if (account !== '' && account !== identity.serviceAccount) {
      return no(Code.PERMISSION_DENIED, `${identity.uri} is not the service account ${account} of ${name}`);
    }
    return admission;
  }

  opened(peer: Peer): void {
    const machine = machineOf(peer);
    if (machine === undefined) return;
    const key = `${machine.namespace}/${machine.name}`;
    const known = this.#present.get(key);
    known?.cancel();
    const streams = (known?.streams ?? 0) + 1;
    this.#present.set(key, { machine, streams, health: known?.health, cancel: () => undefined, gone: false });
    this.#queue.add(key);
  }

  closed(peer: Peer): void {
    const machine = machineOf(peer);
    const key = `${machine?.namespace}/${machine?.name}`;
    const presence = this.#present.get(key);
    if (presence === undefined) return;
    presence.streams--;
    if (presence.streams > 0) return;
    this.#queue.add(key);
    const { clock, graceMs } = this.#options;
    presence.cancel = clock.after(graceMs, () => {
      presence.gone = true;
      this.#queue.add(key);
    });
  }

  /** @param error why it is not healthy; undefined when it is */
  reported(peer: Peer, error: string | undefined): void {
    const machine = machineOf(peer);
    const key = `${machine?.namespace}/${machine?.name}`;
    const presence = this.#present.get(key);
    if (presence === undefined) return;
    const healthy = error === undefined;
    if (presence.health?.healthy === healthy && presence.health.message === (error ?? '')) return;
    presence.health = { healthy, message: error ?? '', at: this.#now() };
    this.#queue.add(key);
  }

  #now(): string {
    return new Date(this.#options.clock.now()).toISOString();
  }

  async #reconcile(key: string): Promise<void> {
    const presence = this.#present.get(key);
    if (presence === undefined) return;
    const { client, metrics } = this.#options;
    const { name, namespace } = presence.machine;
    try {
      const entry = await client.get(WORKLOAD_ENTRY, { namespace, name });
      if (presence.streams > 0) await this.#keep(presence, entry);
      else if (entry === undefined || !this.#isOurs(presence, entry)) this.#present.delete(key);
      else if (presence.gone) await this.#end(key, presence, entry);
      else if (presence.machine.group !== undefined)
        await this.#annotate(entry, { [CONNECTED_AT]: null, [DISCONNECTED_AT]: this.#now() });
    } catch (error) {
      metrics.registrationErrors.inc();
      throw error;
    }
  }

  /** Another replica may have taken the machine over; then it is not ours to say that it is gone. */
  #isOurs({ machine }: Presence, { metadata }: GenericObject): boolean {
    return machine.group === undefined || metadata.annotations?.[CONTROLLER] === this.#options.instance;
  }

  #isKept(presence: Presence, entry: GenericObject): boolean {
    return this.#isOurs(presence, entry) && entry.metadata.annotations?.[CONNECTED_AT] !== undefined;
  }

  async #keep(presence: Presence, found: GenericObject | undefined): Promise<void> {
    const { health, machine } = presence;
    const { client, groups, instance, log, metrics } = this.#options;
    let entry = found;
    if (entry === undefined && machine.group !== undefined) {
      const group = groups.get(`${machine.namespace}/${machine.group}`) as WorkloadGroup | undefined;
      // Without its group it waits: an istiod that sees the group again registers it when it connects anew.
      if (group === undefined) return;
      entry = await client.create(WORKLOAD_ENTRY, registeredEntry(machine, group, instance, this.#now()));
      metrics.registrations.inc();
      log.info('registered a machine', { entry: `${machine.namespace}/${machine.name}`, address: machine.address });
    } else if (entry !== undefined && machine.group !== undefined && !this.#isKept(presence, entry)) {
      const now = { [CONTROLLER]: instance, [CONNECTED_AT]: this.#now(), [DISCONNECTED_AT]: null };
      entry = await this.#annotate(entry, now);
      metrics.registrationUpdates.inc();
    }
    if (entry === undefined || health === undefined || entry.metadata.annotations?.[HEALTH_CHECKED] === undefined)
      return;
    await this.#tellHealth(entry, [
      {
        type: 'Healthy',
        status: health.healthy ? 'True' : 'False',
        message: health.message,
        lastProbeTime: health.at,
        lastTransitionTime: health.at,
      },
    ]);
  }

  async #end(key: string, { machine }: Presence, entry: GenericObject): Promise<void> {
    const { client, log, metrics } = this.#options;
    this.#present.delete(key);
    metrics.unregistrations.inc();
    if (machine.group === undefined) {
      await this.#tellHealth(entry, []);
      return;
    }
    const { name, namespace, uid } = entry.metadata;
    await client.delete(WORKLOAD_ENTRY, { namespace, name }, uid === undefined ? {} : { uid });
    metrics.registrationDeletes.inc();
    log.info('removed the entry of a machine that has gone', { entry: key });
  }

  async #annotate({ metadata }: GenericObject, annotations: Readonly<Record<string, string | null>>) {
    const { name, namespace, resourceVersion } = metadata;
    return await this.#options.client.mergePatch<GenericObject>(
      WORKLOAD_ENTRY,
      { namespace, name },
      { metadata: { resourceVersion, annotations } },
    );
  }

  async #tellHealth({ metadata }: GenericObject, conditions: readonly object[]): Promise<void> {
    const { name, namespace } = metadata;
    const object: GenericObject = {
      metadata: { name, ...(namespace !== undefined && { namespace }) },
      status: { conditions },
    };
    const how = { fieldManager: HEALTH_MANAGER, force: true, subresource: 'status' };
    await this.#options.client.apply(WORKLOAD_ENTRY, object, how);
  }

  async #sweep(signal: AbortSignal): Promise<void> {
    const { client, clock, entries, graceMs, log, maxAgeMs, metrics } = this.#options;
    while (!signal.aborted) {
      await clock.sleep(10 * graceMs, signal).catch(() => undefined);
      for (const entry of entries.values()) {
        if (signal.aborted) return;
        const { name, namespace, uid } = entry.metadata;
        if (this.#present.has(`${namespace}/${name}`) || !isAbandoned(entry, { graceMs, maxAgeMs }, clock.now()))
          continue;
        try {
          await client.delete(WORKLOAD_ENTRY, { namespace, name }, uid === undefined ? {} : { uid });
          metrics.registrationDeletes.inc();
        } catch (error) {
          if (!isKubeError(error, 'KUBE_CONFLICT'))
            log.warn('an abandoned entry stays', { error: describeError(error) });
        }
        await clock.sleep(SWEEP_STEP_MS, signal).catch(() => undefined);
      }
    }
  }
}
