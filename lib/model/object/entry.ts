// SPDX-License-Identifier: Apache-2.0
//
// ServiceEntry, WorkloadEntry and WorkloadGroup (networking.istio.io/v1) as the model reads them: services that no
// Kubernetes Service describes, and workloads that are no pods.

import type { CustomObject, Meta, Selector } from './object.ts';

/** A workload that is no pod: a machine, or a host name outside. */
export interface WorkloadSpec {
  /** An IP address, a host name, or `unix://` and a path. */
  readonly address?: string;
  readonly network?: string;
  readonly serviceAccount?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Port by the name of the service's port. */
  readonly ports?: Readonly<Record<string, number>>;
  /** `region/zone/subzone`. */
  readonly locality?: string;
  readonly weight?: number;
}

export interface WorkloadEntry extends CustomObject {
  readonly spec?: WorkloadSpec & Readonly<Record<string, unknown>>;
}

export interface WorkloadGroup extends CustomObject {
  readonly spec?: {
    readonly metadata?: Pick<Meta, 'labels' | 'annotations'>;
    readonly template?: WorkloadSpec;
    readonly probe?: Readonly<Record<string, unknown>>;
  } & Readonly<Record<string, unknown>>;
}

export interface EntryPort {
  readonly number: number;
  readonly protocol?: string;
  readonly name?: string;
  readonly targetPort?: number;
}

export type Resolution = 'NONE' | 'STATIC' | 'DNS' | 'DNS_ROUND_ROBIN' | 'DYNAMIC_DNS';

export interface ServiceEntry extends CustomObject {
  readonly spec?: {
    readonly hosts?: readonly string[];
    readonly addresses?: readonly string[];
    readonly ports?: readonly EntryPort[];
    readonly location?: string;
    readonly resolution?: string;
    readonly endpoints?: readonly WorkloadSpec[];
    readonly workloadSelector?: { readonly labels?: Selector['matchLabels'] };
    readonly subjectAltNames?: readonly string[];
    readonly exportTo?: readonly string[];
  } & Readonly<Record<string, unknown>>;
  readonly status?: {
    /** Virtual addresses given out by the control plane. */
    readonly addresses?: readonly { readonly host?: string; readonly value?: string }[];
  } & Readonly<Record<string, unknown>>;
}
