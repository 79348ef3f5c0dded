// SPDX-License-Identifier: Apache-2.0
// What the agent holds of one pod, and what is told of it.
import type { Netns } from '#lib/linux/netns.ts';
import type { PodRules } from '../rules/in-pod.ts';
import type { ZdsPod } from '../zds/server.ts';
import type { PodOverrides } from './pod-view.ts';
import type { Connection } from './sockets.ts';

/**
 * pending: rules stand, the proxy does not serve it yet, so nothing passes.
 * enrolled: the proxy serves it.
 * leaving: new connections are direct, those through the proxy may end in peace.
 */
export type EnrolmentState = 'pending' | 'enrolled' | 'leaving';

/** Identity of a pod as the API tells it. */
export interface PodIdentity {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** A pod to be brought in. */
export interface EnrolRequest {
  readonly pod: PodIdentity;
  readonly ips: readonly string[];
  readonly overrides: PodOverrides;
  /** Opens the pod's namespace; the handle becomes the enroller's. */
  readonly netns: () => Promise<Netns>;
  /** By the plugin: no process of the pod runs yet, and the call must fail when it cannot be served. */
  readonly starting: boolean;
  /** It accepts nothing but mutual TLS, so old plaintext connections into it end at once. */
  readonly strict: boolean;
}

export class Enrolment implements ZdsPod {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  state: EnrolmentState = 'pending';
  netns: Netns | undefined;
  ips: readonly string[];
  overrides: PodOverrides;
  lock: PodRules['lock'];
  /** Whether a proxy was told of it and agreed. */
  served = false;
  /** Whether its rules were once seen in the kernel. */
  captured = false;
  /** Connections that were open when it joined, as far as they still are. */
  open: readonly Connection[] = [];
  /** Monotonic ms when it reached its state. */
  since: number;

  constructor(
    identity: PodIdentity,
    netns: Netns | undefined,
    ips: readonly string[],
    overrides: PodOverrides,
    now: number,
  ) {
    this.uid = identity.uid;
    this.name = identity.name;
    this.namespace = identity.namespace;
    this.serviceAccount = identity.serviceAccount;
    this.netns = netns;
    this.ips = ips;
    this.overrides = overrides;
    this.lock = 'open';
    this.since = now;
  }

  get key(): string {
    return `${this.namespace}/${this.name}`;
  }

  get netnsFd(): number | undefined {
    return this.netns === undefined || this.netns.closed ? undefined : this.netns.fd;
  }

  /** The rules that its namespace should have now. */
  rules(probes: PodRules['probes']): PodRules {
    const { dnsCapture, bypassInbound, virtualInterfaces } = this.overrides;
    const leaving = this.state === 'leaving';
    return { probes, dnsCapture, bypassInbound, virtualInterfaces, lock: this.lock, leaving };
  }
}
