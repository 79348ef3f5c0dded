// SPDX-License-Identifier: Apache-2.0
//
// Which host of a service takes a request: the service's endpoints, narrowed to a subset, in levels of preference,
// without those that are ejected, each weighing what it weighs now. A balancer is one process's for one service, port
// and subset; it is told of new endpoints and settings and keeps what it knows of hosts that stay.
//
// Load moves to the next level as hosts of one fail (Envoy's rule): a level of which 72 % are in still takes all.

import { own } from '#lib/kit/table.ts';
import type { BalanceFailure, Random } from '../balance.ts';
import { reachable, targetPortOf } from '../candidate.ts';
import { DEFAULT_LOAD_BALANCER, type LoadBalancer, type Upstream, type Warmup } from '../http/traffic-policy.ts';
import type { Recorder } from '../proof.ts';
import { describeService, type Endpoint, portOf, type Service } from '../service.ts';
import { describeWorkload, type Workload } from '../workload.ts';
import { Host } from './host.ts';
import { type Level, levelsOf } from './levels.ts';
import { type HostResult, OutlierDetector } from './outlier.ts';
import { makePicker, type Picker } from './picker.ts';

/** Health above which a level takes all the load it is offered is 1 / 1.4. */
const OVERPROVISIONING = 1.4;
/** How often weights of hosts that warm up are looked at again. */
const WARMUP_STEP_MS = 1000;
/** Draws before all are looked through for one that was not tried. */
const RESELECTIONS = 5;

export interface BalancerSources {
  readonly service: Service;
  readonly endpoints: readonly Endpoint[];
  readonly settings: Upstream;
  /** Of the subset; empty for every endpoint. */
  readonly subsetLabels: Readonly<Record<string, string>>;
  labelsOf(uid: string): Readonly<Record<string, string>>;
  /** The proxy itself. */
  readonly source: Workload;
}

export interface PickRequest {
  /** Hosts tried before for the same request. */
  readonly tried: readonly Host[];
  /** Of the key of consistent hashing; undefined when there is none. */
  readonly hash: number | undefined;
  /** {@link Host.token} that the client's session names; ''. */
  readonly sticky: string;
  /** Start below the first level (retries that change locality). */
  readonly remote: boolean;
}

/** A first try with nothing to remember. */
export const ANY_HOST: PickRequest = { tried: [], hash: undefined, sticky: '', remote: false };

interface Share {
  /** Of all load, 0 to 1. */
  readonly load: number;
  readonly picker: Picker;
}

interface ReadyLevel {
  readonly load: number;
  readonly hosts: readonly Host[];
  readonly shares: readonly Share[];
}

export class Balancer {
  readonly #port: number;
  #sources: BalancerSources;
  #hosts: readonly Host[] = [];
  #levels: readonly Level[] = [];
  #ready: readonly ReadyLevel[] = [];
  /** When the ready levels must be made anew; 0: at once. */
  #staleMs = 0;
  #outlier: OutlierDetector | undefined;

  /** @param port of the service */
  constructor(port: number, sources: BalancerSources, nowMs: number) {
    this.#port = port;
    this.#sources = sources;
    this.update(sources, nowMs);
  }

  get hosts(): readonly Host[] {
    return this.#hosts;
  }

  get settings(): Upstream {
    return this.#sources.settings;
  }

  /** Takes new endpoints and settings; hosts that stay keep their state. */
  update(sources: BalancerSources, nowMs: number): void {
    const { endpoints, service, settings, source, subsetLabels } = sources;
    const known = new Map(this.#hosts.map((host) => [host.uid, host]));
    const hosts: Host[] = [];
    for (const endpoint of endpoints) {
      const { workload } = endpoint;
      const port = targetPortOf(service, endpoint, this.#port);
      if (port === 0 || workload.capacity <= 0 || !reachable(workload, { source, anyNetwork: false })) continue;
      if (!workload.healthy && !service.loadBalancing.allowUnhealthy) continue;
      const labels = sources.labelsOf(workload.uid);
      if (!hasLabels(labels, subsetLabels)) continue;
      const old = known.get(workload.uid);
      if (old === undefined || old.port !== port) {
        hosts.push(new Host(endpoint, port, labels, nowMs));
      } else {
        old.endpoint = endpoint;
        old.labels = labels;
        hosts.push(old);
      }
    }
    if (settings.outlier !== this.#sources.settings.outlier || this.#outlier === undefined) {
      this.#outlier = settings.outlier === undefined ? undefined : new OutlierDetector(settings.outlier);
    }
    this.#sources = sources;
    this.#hosts = hosts;
    this.#levels = levelsOf(hosts, {
      source,
      sourceLabels: sources.labelsOf(source.uid),
      balancing: service.loadBalancing,
      locality: settings.loadBalancer?.locality,
      outlier: settings.outlier !== undefined,
    });
    this.#staleMs = 0;
  }

  /** A host, whose `active` the caller counts up and down, or why there is none. */
  pick(request: PickRequest, nowMs: number, random: Random, rec: Recorder): Host | BalanceFailure {
    const { service } = this.#sources;
    if (portOf(service, this.#port) === undefined && this.#hosts.length === 0) return 'unknown-port';
    if (nowMs >= this.#staleMs) this.#refresh(nowMs);
    if (rec.enabled) this.#prove(nowMs, rec);
    if (request.sticky !== '') {
      const host = this.#hosts.find((one) => one.token === request.sticky && !one.isEjected(nowMs));
      if (host !== undefined && !request.tried.includes(host)) {
        if (rec.enabled)
          rec.step(`Workload ${describeWorkload(host.endpoint.workload)}`, '', '', "is the session's", '', 1);
        return host;
      }
    }
    const host = this.#choose(request, random);
    if (host === undefined) return this.#hosts.length === 0 ? this.#failure() : 'no-healthy-endpoint';
    if (rec.enabled && this.#hosts.length > 1) {
      const { algorithm } = this.#balancer;
      rec.step(`Workload ${describeWorkload(host.endpoint.workload)}`, '', '', `chosen by ${algorithm}`, '', 1);
    }
    return host;
  }

  /** Tells how a try ended. @returns true when its host has just been ejected */
  report(host: Host, result: HostResult, nowMs: number): boolean {
    const ejected = this.#outlier?.report(host, result, this.#hosts, nowMs) ?? false;
    if (ejected) this.#staleMs = 0;
    return ejected;
  }

  get #balancer(): LoadBalancer {
    return this.#sources.settings.loadBalancer ?? DEFAULT_LOAD_BALANCER;
  }

  #failure(): BalanceFailure {
    const { endpoints, service } = this.#sources;
    if (endpoints.length === 0) return 'no-endpoint';
    return endpoints.some(({ workload }) => !workload.healthy) && !service.loadBalancing.allowUnhealthy
      ? 'no-healthy-endpoint'
      : 'no-endpoint';
  }

  #choose(request: PickRequest, random: Random): Host | undefined {
    const levels = this.#ready;
    const from = request.remote && levels.length > 1 ? 1 : 0;
    const start = this.#levelFor(from, request.hash, random);
    const hashed = request.hash !== undefined;
    let last: Host | undefined;
    for (let i = start; i < levels.length; i++) {
      const level = levels[i]!;
      if (level.hosts.length === 0) continue;
      const draws = request.tried.length === 0 || hashed ? 1 : RESELECTIONS;
      for (let n = 0; n < draws; n++) {
        const host = shareOf(level, random).picker.pick(request.hash, random);
        if (host === undefined) break;
        if (hashed || !request.tried.includes(host)) return host;
        last ??= host;
      }
      const untried = level.hosts.find((host) => !request.tried.includes(host));
      if (untried !== undefined) return untried;
    }
    // All were tried: one of them again rather than none.
    return last ?? (start > 0 ? levels[0]?.hosts[0] : undefined);
  }

  /** The level drawn by load, `from` or a lower one. */
  #levelFor(from: number, hash: number | undefined, random: Random): number {
    const levels = this.#ready;
    if (levels.length === 0 || levels[from]?.load === 1) return from;
    let total = 0;
    for (let i = from; i < levels.length; i++) total += levels[i]!.load;
    if (total === 0) return from;
    let ticket = (hash === undefined ? random() : (hash % 1000) / 1000) * total;
    for (let i = from; i < levels.length; i++) {
      ticket -= levels[i]!.load;
      if (ticket < 0) return i;
    }
    return from;
  }

  /** Makes the pickers anew, of hosts that are in, by what they weigh now. */
  #refresh(nowMs: number): void {
    const { settings } = this.#sources;
    const ejected = this.#hosts.filter((host) => host.isEjected(nowMs));
    const healthy = this.#hosts.length - ejected.length;
    const panic = healthy * 100 < (settings.outlier?.minHealthPercent ?? 0) * this.#hosts.length;
    const isIn = (host: Host): boolean => panic || !host.isEjected(nowMs);
    const loads = levelLoads(this.#levels, isIn);
    this.#ready = this.#levels.map((level, i): ReadyLevel => {
      const groups = level.shares ?? [{ hosts: level.hosts, share: 100 }];
      const shares = groups.flatMap(({ hosts, share }): Share[] => {
        const members = hosts.filter(isIn);
        if (members.length === 0) return [];
        const health = Math.min(1, (OVERPROVISIONING * members.length) / hosts.length);
        return [{ load: share * health, picker: this.#pickerOf(members, nowMs) }];
      });
      return { load: loads[i] ?? 0, hosts: level.hosts.filter(isIn), shares };
    });
    this.#staleMs = Math.min(...ejected.map((host) => host.ejectedUntilMs), this.#warming(nowMs));
  }

  #pickerOf(hosts: readonly Host[], nowMs: number): Picker {
    const { warmup } = this.#balancer;
    const weights = hosts.map((host) => {
      const factor = warmup === undefined ? 1 : warmupFactor(warmup, nowMs - host.sinceMs);
      return host.endpoint.workload.capacity * factor;
    });
    return makePicker(this.#balancer, hosts, weights);
  }

  /** When weights of hosts that warm up change next. */
  #warming(nowMs: number): number {
    const { warmup } = this.#balancer;
    if (warmup === undefined) return Number.POSITIVE_INFINITY;
    const young = this.#hosts.some((host) => nowMs - host.sinceMs < warmup.durationMs);
    return young ? nowMs + WARMUP_STEP_MS : Number.POSITIVE_INFINITY;
  }

  #prove(nowMs: number, rec: Recorder): void {
    const { service, settings } = this.#sources;
    const subset = settings.subset === '' ? '' : `, subset ${settings.subset}`;
    rec.step(
      `Service ${describeService(service)}`,
      `port ${this.#port}${subset}`,
      `endpoints by ${this.#balancer.algorithm}`,
      `${this.#hosts.length} of ${this.#sources.endpoints.length} may be chosen`,
    );
    this.#ready.forEach(({ load }, level) => {
      for (const host of this.#levels[level]?.hosts ?? []) {
        const state = host.isEjected(nowMs)
          ? `ejected for ${Math.ceil((host.ejectedUntilMs - nowMs) / 1000)} s more`
          : `level ${level} (${Math.round(load * 100)} % of the load), ${host.active} active`;
        rec.step(`Workload ${describeWorkload(host.endpoint.workload)}`, '', '', state, '', 1);
      }
    });
  }
}

function hasLabels(labels: Readonly<Record<string, string>>, wanted: Readonly<Record<string, string>>): boolean {
  for (const name of Object.keys(wanted)) if (own(labels, name) !== wanted[name]) return false;
  return true;
}

function shareOf({ shares }: ReadyLevel, random: Random): Share {
  const [first] = shares;
  if (shares.length === 1) return first!;
  let ticket = random() * shares.reduce((sum, { load }) => sum + load, 0);
  for (const share of shares) {
    ticket -= share.load;
    if (ticket < 0) return share;
  }
  return first!;
}

/** What each level takes of all load: as much as its health allows, the nearest first. */
function levelLoads(levels: readonly Level[], isIn: (host: Host) => boolean): number[] {
  const health = levels.map(({ hosts }) => {
    const members = hosts.filter(isIn).length;
    return hosts.length === 0 ? 0 : Math.min(1, (OVERPROVISIONING * members) / hosts.length);
  });
  const all = Math.min(
    1,
    health.reduce((sum, one) => sum + one, 0),
  );
  let left = 1;
  return health.map((one) => {
    const load = all === 0 ? 0 : Math.min(left, one / all);
    left -= load;
    return load;
  });
}

/** How much of its weight a host has, `ageMs` after it came. */
export function warmupFactor({ aggression, durationMs, minimumPercent }: Warmup, ageMs: number): number {
  if (ageMs >= durationMs || durationMs <= 0) return 1;
  const grown = (Math.max(ageMs, 1) / durationMs) ** (1 / Math.max(aggression, 0.1));
  return Math.max(minimumPercent / 100, grown);
}
