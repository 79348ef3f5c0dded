// SPDX-License-Identifier: Apache-2.0
//
// A BackendTLSPolicy (gateway.networking.k8s.io/v1) as the TLS that its targets are talked to by, and what its author is
// told. A policy that cannot be obeyed makes connections fail with the reason: it was written so that none goes in clear.

import { X509Certificate } from 'node:crypto';
import { table } from '#lib/kit/table.ts';
import type { UpstreamTls } from '#lib/mesh/http/traffic-policy.ts';
import { type KubeObject, keyOf, namespaceOf } from '../object/object.ts';
import type { ConditionValue, Reference, RouteService } from './context.ts';
import { ISTIO_GROUP } from './spec.ts';

export interface PolicyTargetRef {
  readonly group?: string;
  readonly kind?: string;
  readonly name?: string;
  /** Name of a port. */
  readonly sectionName?: string;
}

export interface BackendTlsPolicy extends KubeObject {
  readonly spec?: {
    readonly targetRefs?: readonly PolicyTargetRef[];
    readonly validation?: {
      readonly caCertificateRefs?: readonly {
        readonly group?: string;
        readonly kind?: string;
        readonly name?: string;
      }[];
      readonly hostname?: string;
      readonly subjectAltNames?: readonly {
        readonly type?: string;
        readonly hostname?: string;
        readonly uri?: string;
      }[];
      readonly wellKnownCACertificates?: string;
    };
  };
}

export interface TargetContext {
  service(reference: Reference): RouteService | undefined;
}

export interface BackendTlsContext extends TargetContext {
  /** Text of a ConfigMap's `ca.crt`; undefined when there is none. */
  authorities(key: string): string | undefined;
}

/** One target of one policy. */
export interface BackendTlsTarget {
  readonly ref: PolicyTargetRef;
  /** The service's key; undefined when it or its port is not there. */
  readonly service: string | undefined;
  /** 0: every port without a policy of its own. */
  readonly port: number;
}

export interface ConvertedBackendTls {
  readonly key: string;
  readonly namespace: string;
  readonly created: string;
  readonly targets: readonly BackendTlsTarget[];
  readonly tls: UpstreamTls;
  /** What holds wherever it is attached. */
  readonly conditions: readonly ConditionValue[];
}

const TARGET_KINDS = table<string>({ Service: '', ServiceEntry: ISTIO_GROUP });
const NONE = new Uint8Array(0);
const CA_KEY = 'ca.crt';

/** Keys of the ConfigMaps that the policy names. */
export function authorityKeys(policy: BackendTlsPolicy): string[] {
  return (policy.spec?.validation?.caCertificateRefs ?? [])
    .filter(isConfigMap)
    .map(({ name = '' }) => `${namespaceOf(policy)}/${name}`);
}

function isConfigMap({ group = '', kind = 'ConfigMap' }: { readonly group?: string; readonly kind?: string }): boolean {
  return group === '' && kind === 'ConfigMap';
}

export function convertBackendTls(policy: BackendTlsPolicy, context: BackendTlsContext): ConvertedBackendTls {
  const namespace = namespaceOf(policy);
  const {
    caCertificateRefs = [],
    hostname = '',
    subjectAltNames = [],
    wellKnownCACertificates = '',
  } = policy.spec?.validation ?? {};
  const problems: { reason: 'InvalidKind' | 'InvalidCACertificateRef'; message: string }[] = [];
  const found: string[] = [];
  for (const ref of caCertificateRefs) {
    const { group = '', kind = 'ConfigMap', name = '' } = ref;
    if (!isConfigMap(ref)) {
      const message = `${group === '' ? 'core' : group}/${kind} ${name} cannot hold authorities; a ConfigMap can`;
      problems.push({ reason: 'InvalidKind', message });
      continue;
    }
    const text = context.authorities(`${namespace}/${name}`);
    if (text === undefined || !isCertificates(text)) {
      const what = text === undefined ? `does not exist, or has no key ${CA_KEY}` : `holds no certificate in ${CA_KEY}`;
      problems.push({ reason: 'InvalidCACertificateRef', message: `ConfigMap ${namespace}/${name} ${what}` });
    } else found.push(text);
  }
  const [problem] = problems;
  const system = caCertificateRefs.length === 0 && wellKnownCACertificates === 'System';
  const trusted = system || found.length > 0;
  const refused =
    problem?.message ??
    (trusted
      ? ''
      : `wellKnownCACertificates "${wellKnownCACertificates}" is not known, and no caCertificateRefs are named`);
  const accepted: ConditionValue = trusted
    ? { type: 'Accepted', status: true, reason: 'Accepted', message: 'endpoints are talked to by TLS' }
    : {
        type: 'Accepted',
        status: false,
        reason: problem === undefined ? 'Invalid' : 'NoValidCACertificate',
        message: `connections fail: ${refused}`,
      };
  const resolved: ConditionValue =
    problem === undefined
      ? { type: 'ResolvedRefs', status: true, reason: 'ResolvedRefs', message: 'every reference is resolved' }
      : { type: 'ResolvedRefs', status: false, reason: problem.reason, message: problem.message };
  const names = subjectAltNames.map(({ hostname: host = '', type, uri = '' }) => (type === 'URI' ? uri : host));
  return {
    key: keyOf(policy),
    namespace,
    created: policy.metadata.creationTimestamp ?? '',
    targets: (policy.spec?.targetRefs ?? []).map((ref) => targetOf(ref, namespace, context)),
    tls: {
      mode: 'simple',
      sni: hostname,
      subjectAltNames: names,
      insecureSkipVerify: false,
      caCertificates: Buffer.from(found.join('\n')),
      clientCertificate: NONE,
      privateKey: NONE,
      crl: NONE,
      systemRoots: system,
      invalid: trusted ? '' : `BackendTLSPolicy ${keyOf(policy)}: ${refused}`,
    },
    conditions: [accepted, resolved],
  };
}

/** What a policy's reference leads to: a Service or ServiceEntry of its own namespace. */
export function targetOf(ref: PolicyTargetRef, namespace: string, context: TargetContext): BackendTlsTarget {
  const { group = '', kind = '', name = '', sectionName = '' } = ref;
  const known = TARGET_KINDS[kind] === group;
  const service = known ? context.service({ group, kind, namespace, name }) : undefined;
  const port = sectionName === '' ? 0 : service?.ports.find((one) => one.name === sectionName)?.port;
  return { ref, service: port === undefined ? undefined : service?.key, port: port ?? 0 };
}

function isCertificates(text: string): boolean {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  try {
    for (const block of blocks) new X509Certificate(block);
    return blocks.length > 0;
  } catch {
    return false;
  }
}

type Aged = Pick<ConvertedBackendTls, 'created' | 'key'>;

/** Of policies for one target the oldest counts, then the first by name. */
export function byPrecedence(a: Aged, b: Aged): number {
  return a.created < b.created ? -1 : a.created > b.created ? 1 : a.key < b.key ? -1 : a.key > b.key ? 1 : 0;
}

/** The policy that counts for a port of a service (0: for the service); undefined when there is none. */
export function winnerFor(
  policies: readonly ConvertedBackendTls[],
  service: string,
  port: number,
): ConvertedBackendTls | undefined {
  return policies
    .filter(({ targets }) => targets.some((one) => one.service === service && one.port === port))
    .sort(byPrecedence)[0];
}
