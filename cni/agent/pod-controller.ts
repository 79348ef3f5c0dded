// SPDX-License-Identifier: Apache-2.0
// From what the API says of a pod to what the enroller does with it. Labels are what should be, the kernel is what is; the annotation is only
// what others are told.
import type { Clock } from '#lib/kit/clock.ts';
import { AmbitError, causedBy, describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import type { KubeClient } from '#lib/kube/client.ts';
import { isKubeError } from '#lib/kube/error.ts';
import type { EventRecorder } from '#lib/kube/events.ts';
import type { Informer } from '#lib/kube/informer.ts';
import { NAMESPACE, POD } from '#lib/kube/kind.ts';
import type { GenericObject, Namespace, Pod } from '#lib/kube/object.ts';
import { WorkQueue } from '#lib/kube/work-queue.ts';
import type { Netns } from '#lib/linux/netns.ts';
import type { PodRedirection } from '../rules/pod.ts';
import type { Enroller } from './enroller.ts';
import type { PodIdentity } from './enrolment.ts';
import type { NetnsFinder } from './netns-finder.ts';
import {
  addressesOf,
  type EligibilityOptions,
  isTerminated,
  judge,
  overridesOf,
  REDIRECTION_ANNOTATION,
} from './pod-view.ts';
import { isStrict } from './strict.ts';

/** How soon a pod on its way out is looked at again. */
const LEAVE_LOOK_MS = 500;
/** How often the informers' copies are asked for a pod that the runtime already starts. */
const CACHE_TRIES = 10;
const CACHE_PAUSE_MS = 10;
/** Pods reconciled at the same time; each runs a few child programs. */
const CONCURRENCY = 8;

export interface PodControllerOptions {
  readonly client: KubeClient;
  readonly pods: Informer<Pod>;
  readonly namespaces: Informer<Namespace>;
  /** PeerAuthentication objects; until they are known, none is strict. */
  readonly policies: Informer<GenericObject>;
  readonly rootNamespace: string;
  readonly enroller: Enroller;
  readonly redirection: PodRedirection;
  readonly finder: NetnsFinder;
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly log: Logger;
  readonly eligibility: EligibilityOptions;
  readonly dnsCapture: boolean;
}

export class PodController {
  readonly #options: PodControllerOptions;
  readonly #queue: WorkQueue;
  #unsubscribe: (() => void)[] = [];

  constructor(options: PodControllerOptions) {
    this.#options = options;
    const { clock, log } = options;
    const reconcile = (key: string) => this.#reconcile(key);
    this.#queue = new WorkQueue({ name: 'pod', clock, log, concurrency: CONCURRENCY, reconcile });
  }

  /** Takes over what an earlier agent enrolled. Both informers are synced. */
  async restore(): Promise<void> {
    const { eligibility, enroller, finder, log, namespaces, pods, redirection } = this.#options;
    for (const pod of pods.values()) {
      if (pod.metadata.annotations?.[REDIRECTION_ANNOTATION] === undefined) continue;
      if (!judge(pod, namespaces.get(pod.metadata.namespace ?? ''), eligibility).eligible) continue;
      const identity = identityOf(pod);
      const netns = await finder.find(identity.uid, addressesOf(pod)).catch(() => undefined);
      if (netns && !(await redirection.present(netns))) {
        // Annotated, and not captured: it is enrolled like a pod that was never.
        netns.close();
        continue;
      }
      enroller.restore(identity, netns, addressesOf(pod), this.#overrides(pod));
    }
    log.info('took over pods of an earlier agent', { pods: enroller.list().length });
  }

  start(): void {
    const { namespaces, pods, policies } = this.#options;
    this.#unsubscribe = [
      policies.subscribe(() => this.requeueAll()),
      pods.subscribe((changes) => {
        for (const { key } of changes) this.#queue.add(key);
      }),
      namespaces.subscribe((changes) => {
        const changed = new Set(changes.map(({ key }) => key));
        for (const pod of pods.values()) if (changed.has(pod.metadata.namespace ?? '')) this.#queue.add(keyOf(pod));
      }),
    ];
    this.requeueAll();
  }

  /** Looks at every pod again: a proxy came, or it is time to compare with the kernel. */
  requeueAll(): void {
    for (const pod of this.#options.pods.values()) this.#queue.add(keyOf(pod));
    for (const { key } of this.#options.enroller.list()) this.#queue.add(key);
  }

  stop(): void {
    for (const end of this.#unsubscribe) end();
    this.#queue.stop();
  }

  /**
   * The runtime starts a pod: enrols it before its processes run, if it should be. Resolves to whether it is in the mesh; throws when it should be
   * and cannot, so that the pod does not start.
   */
  async starting(
    namespace: string,
    name: string,
    ips: readonly string[],
    netns: () => Promise<Netns>,
  ): Promise<boolean> {
    const { pod, in: home } = await this.#lookUp(namespace, name);
    const verdict = judge(pod, home, this.#options.eligibility);
    this.#options.log.debug('the plugin asks for a pod', { pod: keyOf(pod), ...verdict });
    if (!verdict.eligible) return false;
    const identity = identityOf(pod);
    try {
      await this.#options.enroller.enrol({
        pod: identity,
        ips,
        overrides: this.#overrides(pod),
        netns,
        starting: true,
        strict: false,
      });
    } catch (error) {
      await this.#annotate(pod, 'pending').catch(() => undefined);
      void this.#tell(pod, error);
      throw error;
    }
    await this.#annotate(pod, 'enabled');
    return true;
  }

  async #reconcile(key: string): Promise<void> {
    const { enroller, namespaces, pods, eligibility } = this.#options;
    const pod = pods.get(key);
    const uid = pod?.metadata.uid;
    for (const held of enroller.list()) if (held.key === key && held.uid !== uid) await enroller.forget(held.uid);
    if (pod === undefined || uid === undefined) return;
    if (isTerminated(pod)) {
      await enroller.forget(uid);
      await this.#annotate(pod, null);
      return;
    }
    const namespace = namespaces.get(pod.metadata.namespace ?? '');
    if (judge(pod, namespace, eligibility).eligible) await this.#join(pod);
    else await this.#leave(pod);
  }

  async #join(pod: Pod): Promise<void> {
    const { enroller, policies, rootNamespace } = this.#options;
    const ips = addressesOf(pod);
    const identity = identityOf(pod);
    // Without an address its namespace cannot be told from others; an update will bring it.
    if (ips.length === 0 && enroller.get(identity.uid) === undefined) return;
    try {
      await enroller.enrol({
        pod: identity,
        ips,
        overrides: this.#overrides(pod),
        netns: () => this.#find(pod),
        starting: false,
        strict: isStrict(pod, policies.values(), rootNamespace),
      });
      await this.#annotate(pod, 'enabled');
    } catch (error) {
      // Its processes do not run yet: the plugin is about to bring it.
      if (causedBy(error, 'NETNS_UNKNOWN') && pod.status?.phase === 'Pending') return;
      // A pod that was enrolled stays so for others while its proxy restarts: they must not fall back to speak to it in clear.
      const known = pod.metadata.annotations?.[REDIRECTION_ANNOTATION] === 'enabled';
      if (enroller.get(identity.uid) !== undefined && !known) await this.#annotate(pod, 'pending');
      void this.#tell(pod, error);
      throw error;
    }
  }

  async #leave(pod: Pod): Promise<void> {
    const { clock, enroller, redirection } = this.#options;
    const { uid } = identityOf(pod);
    const annotated = pod.metadata.annotations?.[REDIRECTION_ANNOTATION] !== undefined;
    if (enroller.get(uid) === undefined && annotated) {
      const netns = await this.#find(pod).catch(() => undefined);
      if (netns && (await redirection.present(netns))) {
        enroller.restore(identityOf(pod), netns, addressesOf(pod), this.#overrides(pod));
      } else netns?.close();
    }
    await enroller.beginLeaving(uid);
    await this.#annotate(pod, null);
    if (!(await enroller.finishLeaving(uid))) clock.after(LEAVE_LOOK_MS, () => this.#queue.add(keyOf(pod)));
  }

  async #find(pod: Pod): Promise<Netns> {
    const netns = await this.#options.finder.find(pod.metadata.uid ?? '', addressesOf(pod));
    if (netns) return netns;
    throw new AmbitError(
      'NETNS_UNKNOWN',
      `no process of ${keyOf(pod)} was found whose network namespace has its address`,
      {
        advice: 'the agent needs the node /proc and SYS_PTRACE; a pod whose processes do not run yet is tried again',
      },
    );
  }

  /** The pod and its namespace, from the informers when they have it, else from the API. */
  async #lookUp(namespace: string, name: string): Promise<{ pod: Pod; in: Namespace | undefined }> {
    const { client, clock, namespaces, pods } = this.#options;
    for (let tries = 0; tries < CACHE_TRIES; tries++) {
      const pod = pods.get(`${namespace}/${name}`);
      if (pod) return { pod, in: namespaces.get(namespace) };
      await clock.sleep(CACHE_PAUSE_MS);
    }
    const pod = await client.get(POD, { namespace, name });
    if (!pod) throw new AmbitError('POD_UNKNOWN', `the API server knows no pod ${namespace}/${name}`);
    return { pod, in: namespaces.get(namespace) ?? (await client.get(NAMESPACE, { name: namespace })) };
  }

  #overrides(pod: Pod): ReturnType<typeof overridesOf> {
    const overrides = overridesOf(pod, { dnsCapture: this.#options.dnsCapture });
    if (overrides.unreadable.length > 0) {
      this.#options.log.debug('annotations that say neither true nor false', {
        pod: keyOf(pod),
        names: overrides.unreadable,
      });
    }
    return overrides;
  }

  /** Sets the annotation unless the informer's copy has it already. */
  async #annotate(pod: Pod, value: 'enabled' | 'pending' | null): Promise<void> {
    const { namespace, name } = pod.metadata;
    const known = this.#options.pods.get(keyOf(pod)) ?? pod;
    if ((known.metadata.annotations?.[REDIRECTION_ANNOTATION] ?? null) === value) return;
    const patch = { metadata: { annotations: { [REDIRECTION_ANNOTATION]: value } } };
    try {
      await this.#options.client.mergePatch(POD, { namespace, name, subresource: 'status' }, patch);
    } catch (error) {
      if (!isKubeError(error, 'KUBE_NOT_FOUND')) throw error;
    }
  }

  async #tell(pod: Pod, error: unknown): Promise<void> {
    const message = `not in the mesh, and cut off until it is: ${describeError(error)}`;
    await this.#options.events.record(POD, pod, { type: 'Warning', reason: 'MeshEnrolmentFailed', message });
  }
}

function keyOf(pod: Pod): string {
  return `${pod.metadata.namespace ?? ''}/${pod.metadata.name}`;
}

function identityOf(pod: Pod): PodIdentity {
  return {
    uid: pod.metadata.uid ?? '',
    name: pod.metadata.name,
    namespace: pod.metadata.namespace ?? '',
    serviceAccount: pod.spec?.serviceAccountName ?? 'default',
  };
}
