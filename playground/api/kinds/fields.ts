// SPDX-License-Identifier: Apache-2.0
// Fields that field selectors may name, by kind, beside metadata.name and metadata.namespace.
import { at, type KubeObject } from '../json.ts';

const EVENT = [
  'involvedObject.kind',
  'involvedObject.namespace',
  'involvedObject.name',
  'involvedObject.uid',
  'involvedObject.apiVersion',
  'involvedObject.resourceVersion',
  'involvedObject.fieldPath',
  'reason',
  'reportingComponent',
  'source',
  'type',
];

export const FIELDS: Readonly<Record<string, readonly string[]>> = {
  Pod: [
    'spec.nodeName',
    'spec.restartPolicy',
    'spec.schedulerName',
    'spec.serviceAccountName',
    'spec.hostNetwork',
    'status.phase',
    'status.podIP',
    'status.nominatedNodeName',
  ],
  Event: EVENT,
  Node: ['spec.unschedulable'],
  Namespace: ['status.phase'],
  Secret: ['type'],
  Service: ['spec.clusterIP', 'spec.type'],
  ReplicaSet: ['status.replicas'],
  ReplicationController: ['status.replicas'],
  Job: ['status.successful'],
  CertificateSigningRequest: ['spec.signerName'],
};

const FALSE_WHEN_MISSING = new Set(['spec.hostNetwork', 'spec.unschedulable']);

/** The selectable field's text; undefined when the version does not offer the path. */
export function fieldText(offered: readonly string[], object: KubeObject, path: string): string | undefined {
  if (path === 'metadata.name') return object.metadata.name ?? '';
  if (path === 'metadata.namespace') return object.metadata.namespace ?? '';
  if (!offered.includes(path)) return undefined;
  const steps = path === 'source' ? ['source', 'component'] : path.split('.');
  const value = at(object, ...steps);
  if (value === undefined || value === null) return FALSE_WHEN_MISSING.has(path) ? 'false' : '';
  return String(value);
}
