// SPDX-License-Identifier: Apache-2.0
// A node proxy's `/config_dump`, as far as the tables read it. The proxy may be ours or Istio's, so every part may be
// missing.

import { AmbitError } from '#lib/kit/error.ts';
import type { Pod } from '#lib/kube/object.ts';
import type { Cluster } from '../cluster.ts';

export const ADMIN_PORT = 15000;

export interface DumpGateway {
  readonly destination?: string;
  readonly hboneMtlsPort?: number;
}

export interface DumpWorkload {
  readonly uid?: string;
  readonly name?: string;
  readonly namespace?: string;
  readonly workloadIps?: readonly string[];
  readonly hostname?: string;
  readonly node?: string;
  readonly protocol?: string;
  readonly waypoint?: DumpGateway;
}

export interface DumpService {
  readonly name?: string;
  readonly namespace?: string;
  readonly hostname?: string;
  readonly vips?: readonly string[];
  readonly waypoint?: DumpGateway;
  readonly endpoints?: Readonly<Record<string, { readonly status?: string }>>;
}

export interface DumpPolicy {
  readonly name?: string;
  readonly namespace?: string;
  readonly scope?: string;
  readonly action?: string;
}

export interface DumpCertificate {
  readonly pem?: string;
  /** Decimal. */
  readonly serialNumber?: string;
  readonly validFrom?: string;
  readonly expirationTime?: string;
}

export interface DumpCertificates {
  readonly identity?: string;
  readonly state?: string;
  readonly certChain?: readonly DumpCertificate[];
  readonly rootCerts?: readonly DumpCertificate[];
}

export interface DumpConnection {
  readonly src?: string;
  readonly originalDst?: string | null;
  readonly actualDst?: string;
  readonly protocol?: string;
}

export interface DumpWorkloadState {
  readonly state?: string;
  readonly info?: { readonly name?: string; readonly namespace?: string; readonly serviceAccount?: string };
  readonly connections?: {
    readonly inbound?: readonly DumpConnection[];
    readonly outbound?: readonly DumpConnection[];
  };
}

/** An address whose connections for tunnels have to wait. */
export interface DumpHeld {
  readonly address?: string;
  readonly waiting?: number;
  readonly since?: string;
  readonly offences?: number;
  readonly reason?: string;
}

export interface Dump {
  readonly workloads?: readonly DumpWorkload[];
  readonly services?: readonly DumpService[];
  readonly policies?: readonly DumpPolicy[];
  readonly certificates?: readonly DumpCertificates[];
  readonly workloadState?: Readonly<Record<string, DumpWorkloadState>>;
  /** Of Ambit's alone. */
  readonly heldAddresses?: readonly DumpHeld[];
}

/** Reads a saved or fetched dump; throws DUMP_UNREADABLE naming where it came from. */
export function parseDump(text: string, from: string): Dump {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch (cause) {
    throw new AmbitError('DUMP_UNREADABLE', `${from} is not JSON`, { cause });
  }
  throw new AmbitError('DUMP_UNREADABLE', `${from} is not a config dump`, {
    advice: 'give what GET /config_dump answered',
  });
}

/** Asks a node proxy for its state. */
export async function fetchDump(cluster: Cluster, pod: Pod, port: number): Promise<Dump> {
  const { body, status } = await cluster.request(pod, port, { path: '/config_dump' });
  const from = `the dump of ${pod.metadata.namespace}/${pod.metadata.name}`;
  if (status !== 200) throw new AmbitError('DUMP_UNREADABLE', `${from}: status ${status}: ${body.slice(0, 200)}`);
  return parseDump(body, from);
}

/** Of several proxies: what each has of its own together, of what all know the first one's. */
export function joinDumps(dumps: readonly Dump[]): Dump {
  const workloadState = Object.assign({}, ...dumps.map((dump) => dump.workloadState ?? {}));
  const heldAddresses = dumps.flatMap((dump) => dump.heldAddresses ?? []);
  return { ...dumps[0], workloadState, ...(heldAddresses.length > 0 && { heldAddresses }) };
}
