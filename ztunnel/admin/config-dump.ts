// SPDX-License-Identifier: Apache-2.0
// The body of `/config_dump`, in the shape that Istio's tools read.
import { type CertificateSummary, summarize } from '#lib/identity/certificate.ts';
import type { SecretState } from '#lib/identity/secret-manager.ts';
import { dumpEndpoints, dumpPolicy, dumpService, dumpWorkload, type Json } from '#lib/proxy/admin/dump.ts';
import type { HeldAddress } from '#lib/proxy/control.ts';
import type { MeshState } from '#lib/proxy/state/mesh-state.ts';
import type { ConnectionInfo, PodInfo } from '../control.ts';

export interface DumpParts {
  readonly state: MeshState;
  readonly secrets: ReadonlyMap<string, SecretState>;
  /** Captured pods and those still pending; undefined in dedicated mode. */
  readonly pods: readonly { readonly info: PodInfo; readonly up: boolean }[] | undefined;
  readonly connections: readonly ConnectionInfo[];
  /** Addresses whose connections for tunnels have to wait. */
  readonly held: readonly HeldAddress[];
  readonly config: Readonly<Record<string, unknown>>;
  readonly version: Readonly<Record<string, string>>;
}

/** Of this program, in the fields that Istio's tools look for. */
export function versionOf(version: string, nodeMetadata: Readonly<Record<string, unknown>>): DumpParts['version'] {
  return {
    version,
    gitRevision: 'unknown',
    buildStatus: 'unknown',
    buildProfile: 'release',
    rustVersion: 'none',
    nodeVersion: process.version,
    istioVersion: String(nodeMetadata['ISTIO_VERSION'] ?? 'unknown'),
    cryptoProvider: `OpenSSL ${process.versions.openssl}`,
  };
}

export function configDump({ state: { mesh }, secrets, pods, connections, held, config, version }: DumpParts): unknown {
  const workloads = [...mesh.workloads()].sort((a, b) => compare(a.uid, b.uid));
  const services = [...mesh.services()].sort(
    (a, b) => compare(a.hostname, b.hostname) || compare(a.namespace, b.namespace),
  );
  const policies = [...mesh.policies()].sort((a, b) => compare(a.key, b.key));
  const staged = [...mesh.staged()].map(([key, endpoints]) => [key, dumpEndpoints(endpoints)]);
  return {
    workloads: workloads.map(dumpWorkload),
    services: services.map((service) => dumpService(service, mesh.endpoints(service))),
    policies: policies.map(dumpPolicy),
    stagedServices: Object.fromEntries(staged),
    staticConfig: {},
    version,
    config,
    certificates: [...secrets]
      .sort(([a], [b]) => compare(a, b))
      .map(([identity, secret]) => dumpCertificate(identity, secret)),
    ...(pods === undefined ? {} : { workloadState: dumpPods(pods, connections) }),
    ...(held.length === 0 ? {} : { heldAddresses: held }),
  };
}

function dumpPods(pods: NonNullable<DumpParts['pods']>, connections: readonly ConnectionInfo[]): Json {
  return Object.fromEntries(
    pods.map(({ info: { uid, name, namespace, serviceAccount }, up }) => {
      const own = connections.filter(({ pod }) => pod === uid);
      const side = (direction: ConnectionInfo['direction']): Json[] =>
        own.flatMap((one) => (one.direction === direction ? [dumpConnection(one)] : []));
      return [
        uid,
        {
          state: up ? 'Up' : 'Pending',
          connections: { inbound: side('inbound'), outbound: side('outbound') },
          info: { name, namespace, serviceAccount },
        },
      ];
    }),
  );
}

function dumpConnection({ src, originalDst, actualDst, protocol, nodeLocal }: ConnectionInfo): Json {
  return { src, originalDst, actualDst, protocol, ...(nodeLocal ? { nodeLocal } : {}) };
}

export function dumpCertificate(identity: string, secret: SecretState): Json {
  const state =
    secret.kind === 'wanted'
      ? 'Initializing'
      : secret.kind === 'available'
        ? 'Available'
        : `Unavailable: ${secret.reason}`;
  const certificate = secret.kind === 'available' ? secret.certificate : undefined;
  return {
    identity,
    state,
    certChain: summarize(certificate?.chainPem ?? '').map(dumpSummary),
    rootCerts: summarize(certificate?.rootsPem ?? '').map(dumpSummary),
  };
}

function dumpSummary({ pem, serialNumber, notBefore, notAfter }: CertificateSummary): Json {
  return {
    pem: Buffer.from(pem).toString('base64'),
    serialNumber: BigInt(`0x${serialNumber}`).toString(),
    validFrom: seconds(notBefore),
    expirationTime: seconds(notAfter),
  };
}

/** RFC 3339, whole seconds. */
function seconds(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
