// SPDX-License-Identifier: Apache-2.0
// Brings pods into the mesh and out of it. One call at a time for each pod; every step may be repeated.
//
//   (running) ─ the proxy serves it ─ rules ─ probe set ─▶ enrolled       a running pod: nothing fails in between
//   (running) ─ no proxy: rules ─▶ pending, cut off ─ proxy returns ─▶ enrolled
//   (starting) ─ rules ─ the proxy serves it ─ probe set ─▶ enrolled      by the plugin, before its processes exist
//   enrolled ─ rules that redirect nothing new ─▶ leaving ─ nothing goes through the proxy, or limit ─▶ gone
//
// Only the kernel's own listing is believed. What differs is mended, counted and logged.
import type { Clock } from '#lib/kit/clock.ts';
import { describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import { Serial } from '#lib/kit/serial.ts';
import type { Netns } from '#lib/linux/netns.ts';
import type { HostRules } from '../rules/host.ts';
import { PORTS } from '../rules/in-pod.ts';
import type { PodRedirection } from '../rules/pod.ts';
import type { ZdsServer } from '../zds/server.ts';
import { EarlierConnections, namedConnections } from './earlier-connections.ts';
import { Enrolment, type EnrolRequest, type PodIdentity } from './enrolment.ts';
import type { CniMetrics } from './metrics.ts';
import type { PodOverrides } from './pod-view.ts';
import { connectionsOn, openConnections, union } from './sockets.ts';

const PROXY_PORTS: readonly number[] = Object.values(PORTS);
const PROXY_POLL_MS = 20;
/** How long peers may need to learn that a pod is no longer reached through the tunnel. */
const PEERS_LEARN_MS = 3000;

export interface EnrollerOptions {
  readonly redirection: PodRedirection;
  readonly host: HostRules;
  readonly zds: ZdsServer;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: CniMetrics;
  readonly probes: { readonly ip: string; readonly ip6: string };
  readonly openConnectionMs: number;
  readonly leaveMs: number;
  readonly proxyWaitMs: number;
}

export class Enroller {
  readonly #options: EnrollerOptions;
  readonly #pods = new Map<string, Enrolment>();
  readonly #serial = new Serial();
  readonly #earlier: EarlierConnections;

  constructor(options: EnrollerOptions) {
    this.#options = options;
    this.#earlier = new EarlierConnections(options);
  }

  /** Every pod held, for proxies that connect and for pages. */
  list(): readonly Enrolment[] {
    return [...this.#pods.values()];
  }

  get(uid: string): Enrolment | undefined {
    return this.#pods.get(uid);
  }

  /** Makes the pod captured and served. Throws what stood in the way; a pod whose rules stand is held as pending then. */
  enrol(request: EnrolRequest): Promise<void> {
    return this.#serial.run(request.pod.uid, async () => {
      let pod = this.#pods.get(request.pod.uid);
      if (pod === undefined) pod = await this.#begin(request);
      else await this.#refresh(pod, request);
      await this.#verify(pod);
      if (!pod.served) await this.#serve(pod, request.starting);
      await this.#syncProbes();
      await this.#earlier.follow(pod, request.strict);
      this.#report();
    });
  }

  /**
   * Takes over a pod that an earlier agent enrolled, before proxies are told anything. Without a namespace it is only named to them, so that they
   * keep what they have.
   */
  restore(identity: PodIdentity, netns: Netns | undefined, ips: readonly string[], overrides: PodOverrides): void {
    if (this.#pods.has(identity.uid)) {
      netns?.close();
      return;
    }
    const pod = new Enrolment(identity, netns, ips, overrides, this.#options.clock.monotonic());
    pod.captured = netns !== undefined;
    this.#pods.set(identity.uid, pod);
    this.#report();
  }

  /** Ceases to redirect what a running pod opens or receives; what goes through the proxy goes on, and peers may still tunnel to it. */
  beginLeaving(uid: string): Promise<void> {
    return this.#serial.run(uid, async () => {
      const pod = this.#pods.get(uid);
      if (pod === undefined || pod.state === 'leaving') return;
      this.#setState(pod, 'leaving');
      if (pod.netns) await this.#options.redirection.apply(pod.netns, pod.rules(this.#options.probes));
      await this.#syncProbes();
      this.#report();
      this.#options.log.info('pod leaves the mesh; new connections are direct', { pod: pod.key });
    });
  }

  /**
   * Lets a pod that is leaving out wholly once nothing goes through the proxy any more, or at the limit; not before its peers had time to
   * learn of it. Resolves to whether it is out; call again until it is.
   */
  finishLeaving(uid: string): Promise<boolean> {
    return this.#serial.run(uid, async () => {
      const pod = this.#pods.get(uid);
      if (pod?.state !== 'leaving') return true;
      const { clock, leaveMs, log, metrics, redirection, zds } = this.#options;
      const waited = clock.monotonic() - pod.since;
      const through = pod.netns ? connectionsOn(pod.netns, PROXY_PORTS) : [];
      if (waited < Math.min(PEERS_LEARN_MS, leaveMs)) return false;
      if (through.length > 0 && waited < leaveMs) {
        log.debug('connections still go through the proxy', { pod: pod.key, count: through.length });
        return false;
      }
      if (through.length > 0)
        log.warn('connections through the proxy are ended at the limit', namedConnections(pod, through));
      await zds.delete(uid);
      if (pod.netns) await redirection.remove(pod.netns);
      this.#drop(pod);
      metrics.events.inc({ type: 'delete' });
      log.info('pod is out of the mesh', { pod: pod.key });
      return true;
    });
  }

  /** The pod or its processes are gone: nothing of it is left to clean. */
  forget(uid: string): Promise<void> {
    return this.#serial.run(uid, async () => {
      const pod = this.#pods.get(uid);
      if (pod === undefined) return;
      // A message under way may still carry the descriptor, so our handle goes last; then nobody holds the namespace (trap 16).
      this.#pods.delete(uid);
      await this.#options.zds.delete(uid);
      this.#drop(pod);
      await this.#syncProbes();
      this.#options.metrics.events.inc({ type: 'delete' });
      this.#options.log.info('pod is gone', { pod: pod.key });
    });
  }

  /** Compares host rules with what should be and mends them. */
  async verifyHost(): Promise<void> {
    const { host, log, metrics } = this.#options;
    if (await host.sound()) return;
    metrics.repairs.inc({ what: 'host-rules' });
    log.warn("the node's probe rules were not as they should be; mending them");
    await host.apply(this.#addresses());
  }

  /** No proxy serves anything any more; pods stay captured. */
  proxiesGone(): void {
    for (const pod of this.#pods.values()) {
      pod.served = false;
      if (pod.state === 'enrolled') this.#setState(pod, 'pending');
    }
    this.#report();
  }

  async #begin({ ips, netns, overrides, pod: identity, starting }: EnrolRequest): Promise<Enrolment> {
    const { clock, log, metrics, redirection } = this.#options;
    const handle = await this.#step('netns', netns);
    const pod = new Enrolment(identity, handle, ips, overrides, clock.monotonic());
    const before = await redirection.present(handle);
    if (starting) pod.lock = 'both';
    else if (before) pod.captured = true;
    else pod.open = openConnections(handle);
    this.#pods.set(identity.uid, pod);
    metrics.events.inc({ type: 'add' });
    // A running pod is cut off by its rules until the proxy listens, so the proxy comes first where there is one.
    if (!starting && !before && (await this.#proxyThere())) {
      try {
        await this.#serve(pod, false);
      } catch (error) {
        log.warn('the node proxy cannot serve a pod that joins', { pod: pod.key, error: describeError(error) });
      }
    }
    return pod;
  }

  /** A pod that is held already: what may have changed about it. */
  async #refresh(pod: Enrolment, { ips, netns, overrides, starting }: EnrolRequest): Promise<void> {
    pod.overrides = overrides;
    if (ips.length > 0) pod.ips = ips;
    if (pod.state === 'leaving') {
      this.#setState(pod, 'pending');
      pod.served = false;
    }
    if (pod.netns !== undefined && !starting) return;
    const handle = await this.#step('netns', netns);
    if (handle.id === pod.netns?.id) {
      handle.close();
      return;
    }
    // Its sandbox was made anew.
    pod.netns?.close();
    pod.netns = handle;
    pod.served = false;
    pod.open = [];
    pod.captured = false;
    pod.lock = starting ? 'both' : 'open';
  }

  /** Writes the rules unless the kernel has them. */
  async #verify(pod: Enrolment): Promise<void> {
    const { log, metrics, probes, redirection } = this.#options;
    const netns = pod.netns;
    if (netns === undefined) return;
    const rules = pod.rules(probes);
    await this.#step('rules', async () => {
      if (pod.captured) {
        const problems = await redirection.problems(netns, rules);
        if (problems.length === 0) return;
        for (const what of problems) metrics.repairs.inc({ what });
        log.warn('the rules of a pod were not as they should be; mending them', { pod: pod.key, problems });
      }
      await redirection.apply(netns, rules);
      // What was opened while the rules were being written is past the proxy too.
      if (pod.lock === 'open' && !pod.captured) pod.open = union(pod.open, openConnections(netns), PROXY_PORTS);
    });
    if (!pod.captured) this.#earlier.tell(pod);
    pod.captured = true;
  }

  async #serve(pod: Enrolment, mustBe: boolean): Promise<void> {
    const { log, zds } = this.#options;
    try {
      await this.#step('proxy', () => zds.add(pod));
      pod.served = true;
      this.#setState(pod, 'enrolled');
      log.info('pod is in the mesh', { pod: pod.key });
    } catch (error) {
      if (mustBe) {
        // The sandbox is given up and made anew with another namespace.
        this.#drop(pod);
        throw error;
      }
      if (pod.state !== 'pending') this.#setState(pod, 'pending');
      throw error;
    }
  }

  /** Whether a proxy is connected, waiting a moment for one that is about to be. */
  async #proxyThere(): Promise<boolean> {
    const { clock, proxyWaitMs, zds } = this.#options;
    for (const deadline = clock.monotonic() + proxyWaitMs; ; ) {
      if (zds.connected > 0) return true;
      if (clock.monotonic() >= deadline) return false;
      await clock.sleep(PROXY_POLL_MS);
    }
  }

  #setState(pod: Enrolment, state: Enrolment['state']): void {
    // The limit of open connections counts from the beginning, not from every return of a proxy.
    if (pod.state === 'leaving' || state === 'leaving') pod.since = this.#options.clock.monotonic();
    pod.state = state;
  }

  #drop(pod: Enrolment): void {
    this.#pods.delete(pod.uid);
    pod.netns?.close();
    this.#report();
  }

  #addresses(): string[] {
    return this.list()
      .filter(({ state }) => state !== 'leaving')
      .flatMap(({ ips }) => ips);
  }

  async #syncProbes(): Promise<void> {
    await this.#step('probes', () => this.#options.host.setAddresses(this.#addresses()));
  }

  #report(): void {
    const { metrics } = this.#options;
    for (const state of ['pending', 'enrolled', 'leaving'] as const) {
      metrics.enrolled.set({ state }, this.list().filter((pod) => pod.state === state).length);
    }
    metrics.openConnections.set(this.list().reduce((sum, { open }) => sum + open.length, 0));
  }

  async #step<T>(step: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.#options.metrics.failures.inc({ step });
      throw error;
    }
  }
}
