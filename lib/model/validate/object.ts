// SPDX-License-Identifier: Apache-2.0
//
// Everything that can be said of one object by itself: by its schema, its labels, and what its kind means. The same
// function serves `ambit validate`, the admission webhook and istiod's conditions, so they cannot disagree.

import { textOf } from '#lib/kit/text-of.ts';
import type { KubeObject } from '../object/object.ts';
import { checkAuthorizationPolicy } from './authorization-policy.ts';
import { checkMetadata } from './metadata.ts';
import { NO_EFFECT } from './no-effect.ts';
import { checkPeerAuthentication } from './peer-authentication.ts';
import { type ObjectProblem, ProblemList } from './problem.ts';
import { checkProxyConfig } from './proxy-config.ts';
import { checkRequestAuthentication } from './request-authentication.ts';
import type { SchemaChecker } from './schema.ts';
import { checkServiceEntry } from './service-entry.ts';
import { checkTelemetry } from './telemetry.ts';
import { checkWorkloadEntry, checkWorkloadGroup } from './workload-entry.ts';

const DNS_NAME = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;

/** Names of these may hold colons (RBAC's path segment names). */
const RBAC_KIND = /Role(Binding)?$/;

/** Groups whose kinds have schemas here; an unknown kind of them is a slip. */
const OWN_GROUPS = ['istio.io', 'gateway.networking.k8s.io'];

/** Problems of an object that came from outside: nothing of its shape is believed before it is checked. */
export function validateObject(object: KubeObject, schemas: SchemaChecker): ObjectProblem[] {
  const shape = checkShape(object, schemas);
  if (shape.length > 0) return shape;
  const schema = schemas.check(object);
  // What a kind means can only be asked of an object that has the kind's shape.
  const meaning = schema.some((problem) => problem.code === 'SchemaViolation') ? [] : meaningOf(object);
  return [...schema, ...checkMetadata(object), ...meaning];
}

type Check<T extends KubeObject> = (object: T) => ObjectProblem[];

/** Checks of what a kind means, by `group/kind`; each gets objects of its kind's shape only. */
const MEANINGS: Readonly<Record<string, Check<never>>> = {
  ...NO_EFFECT,
  'security.istio.io/AuthorizationPolicy': checkAuthorizationPolicy,
  'security.istio.io/PeerAuthentication': checkPeerAuthentication,
  'security.istio.io/RequestAuthentication': checkRequestAuthentication,
  'telemetry.istio.io/Telemetry': checkTelemetry,
  'networking.istio.io/ProxyConfig': checkProxyConfig,
  'networking.istio.io/ServiceEntry': checkServiceEntry,
  'networking.istio.io/WorkloadEntry': checkWorkloadEntry,
  'networking.istio.io/WorkloadGroup': checkWorkloadGroup,
};

function meaningOf(object: KubeObject): ObjectProblem[] {
  const check = MEANINGS[`${object.apiVersion?.split('/')[0]}/${object.kind}`];
  return check === undefined ? [] : check(object as never);
}

function checkShape(object: KubeObject, schemas: SchemaChecker): ObjectProblem[] {
  const metadata: unknown = object.metadata;
  const named = typeof metadata === 'object' && metadata !== null ? object : { ...object, metadata: { name: '' } };
  const list = new ProblemList(named);
  if (typeof object.apiVersion !== 'string') list.error('MissingField', 'apiVersion', 'is required', 'add apiVersion');
  if (typeof object.kind !== 'string') list.error('MissingField', 'kind', 'is required', 'add kind');
  if (named !== object) {
    list.error('MissingField', 'metadata', 'is required', 'add metadata.name');
    return list.problems;
  }
  const { annotations, generateName, labels, name } = object.metadata;
  if (name !== undefined && typeof name !== 'string') {
    list.error('SchemaViolation', 'metadata.name', 'is no text', `write it in quotes: "${textOf(name)}"`);
  } else if (name === undefined || name === '') {
    if (generateName === undefined) list.error('MissingField', 'metadata.name', 'is required', 'name the object');
  } else if (!DNS_NAME.test(name) && !RBAC_KIND.test(textOf(object.kind))) {
    list.error('InvalidValue', 'metadata.name', `"${name}" can be no name`, 'use lower case letters, digits, - and .');
  }
  for (const [field, pairs] of Object.entries({ labels, annotations })) {
    for (const [key, value] of Object.entries(pairs ?? {})) {
      if (typeof value !== 'string') {
        list.error(
          'SchemaViolation',
          `metadata.${field}[${key}]`,
          'is no text',
          `write it in quotes: "${textOf(value)}"`,
        );
      }
    }
  }
  checkKind(list, object, schemas);
  return list.problems;
}

function checkKind(list: ProblemList, object: KubeObject, schemas: SchemaChecker): void {
  const { apiVersion, kind } = object;
  if (typeof apiVersion !== 'string' || typeof kind !== 'string') return;
  const group = apiVersion.includes('/') ? (apiVersion.split('/')[0] ?? '') : '';
  const own = OWN_GROUPS.some((one) => group === one || group.endsWith(`.${one}`));
  if (!own || schemas.knows(object)) return;
  const versions = schemas.versionsOf(group, kind);
  if (versions.length > 0) {
    list.error('UnknownValue', 'apiVersion', `${apiVersion} has no ${kind}`, `write ${group}/${versions[0]}`);
  } else {
    list.warning('UnknownValue', 'kind', `${apiVersion} ${kind} is not known here and was not checked`);
  }
}
