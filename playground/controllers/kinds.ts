// SPDX-License-Identifier: Apache-2.0
// The kinds that controllers read and write, beyond those every program knows.
import { type Kind, kindOf } from '#lib/kube/kind.ts';

export {
  DAEMON_SET,
  DEPLOYMENT,
  ENDPOINT_SLICE,
  NAMESPACE,
  NODE,
  POD,
  SERVICE,
  SERVICE_ACCOUNT,
} from '#lib/kube/kind.ts';
export const REPLICA_SET = kindOf('apps', 'v1', 'ReplicaSet', 'replicasets');
export const STATEFUL_SET = kindOf('apps', 'v1', 'StatefulSet', 'statefulsets');
export const JOB = kindOf('batch', 'v1', 'Job', 'jobs');
export const ENDPOINTS = kindOf('', 'v1', 'Endpoints', 'endpoints');
export const CONFIG_MAP = kindOf('', 'v1', 'ConfigMap', 'configmaps');
export const CRD = kindOf('apiextensions.k8s.io', 'v1', 'CustomResourceDefinition', 'customresourcedefinitions', false);

/** A kind whose shape nobody here needs at compile time. */
export type AnyKind = Kind;
export const apiVersion = (kind: AnyKind): string => (kind.group ? `${kind.group}/${kind.version}` : kind.version);
