// SPDX-License-Identifier: Apache-2.0
//
// What a schema cannot say of an AuthorizationPolicy: values that must parse, fields that exclude or need each other,
// and denials that layer 4 enforces wider than their author meant.

import { parseCidr } from '#lib/mesh/cidr.ts';
import { namespaceOf } from '../object/object.ts';
import {
  type AuthorizationPolicy,
  type AuthorizationRule,
  type AuthorizationSpec,
  L4_WHEN_KEYS,
  L7_OPERATION_FIELDS,
  L7_SOURCE_FIELDS,
  type Operation,
  type Source,
  targetRefsOf,
  type When,
} from '../policy/authorization-spec.ts';
import { parsePort } from '../policy/match-builder.ts';
import { nearest, type ObjectProblem, ProblemList } from './problem.ts';
import { checkTargets } from './target-refs.ts';

const L7_WHEN_KEYS = [
  'remote.ip',
  'request.auth.principal',
  'request.auth.audiences',
  'request.auth.presenter',
  'connection.sni',
];
/** Keys with a name in brackets: request.headers[x-user]. */
const INDEXED_WHEN_KEY =
  /^(request\.headers|request\.auth\.claims|experimental\.envoy\.filters\.[\w.]+)(\[[^[\]]+\])+$/;

function isLayer7Key(key: string): boolean {
  return L7_WHEN_KEYS.includes(key) || INDEXED_WHEN_KEY.test(key);
}

/** Fields that say who the peer is; an external authoriser decides that by itself. */
const IDENTITY_FIELDS: readonly (keyof Source)[] = [
  'namespaces',
  'notNamespaces',
  'serviceAccounts',
  'notServiceAccounts',
  'trustDomains',
  'notTrustDomains',
  'principals',
  'notPrincipals',
  'requestPrincipals',
  'notRequestPrincipals',
];

export function checkAuthorizationPolicy(object: AuthorizationPolicy): ObjectProblem[] {
  const list = new ProblemList(object);
  const { spec } = object;
  checkTargets(list, spec);
  checkAction(list, spec);
  (spec?.rules ?? []).forEach((rule, i) => {
    const path = `spec.rules[${i}]`;
    if (rule === null) list.error('InvalidValue', path, 'is empty', 'write {} for a rule that matches everything');
    else checkRule(list, rule, path, spec, namespaceOf(object));
  });
  return list.problems;
}

function checkAction(list: ProblemList, spec: AuthorizationSpec | undefined): void {
  const action = spec?.action ?? 'ALLOW';
  const rules = spec?.rules ?? [];
  const provider = spec?.provider?.name ?? '';
  if (action === 'CUSTOM') {
    if (rules.length === 0) list.error('MissingField', 'spec.rules', 'is required with action CUSTOM', 'add a rule');
    if (provider === '') {
      list.error('MissingField', 'spec.provider.name', 'is required with action CUSTOM', 'name the provider');
    }
  } else if (spec?.provider !== undefined) {
    list.error('ConflictingFields', 'spec.provider', `is for action CUSTOM, not ${action}`, 'remove provider');
  }
  if ((action === 'CUSTOM' || action === 'AUDIT') && targetRefsOf(spec).length === 0) {
    const message = `action ${action} is not known to node proxies, so the policy has no effect`;
    list.warning('UnsupportedValue', 'spec.action', message, 'attach the policy to a waypoint with targetRefs');
  }
  if (action === 'DENY' && rules.length === 0) {
    list.error(
      'MissingField',
      'spec.rules',
      'a DENY policy without rules denies nothing',
      'add a rule; {} matches all',
    );
  }
}

function checkRule(
  list: ProblemList,
  rule: AuthorizationRule,
  path: string,
  spec: AuthorizationSpec | undefined,
  namespace: string,
): void {
  const action = spec?.action ?? 'ALLOW';
  for (const side of ['from', 'to'] as const) {
    if (rule[side]?.length === 0) {
      list.error('InvalidValue', `${path}.${side}`, 'is an empty list', `remove it or add a ${side} entry`);
    }
  }
  (rule.from ?? []).forEach(({ source }, i) => {
    const at = `${path}.from[${i}].source`;
    if (source === undefined || isBlank(source))
      list.error('MissingField', at, 'asks for nothing', 'add a field to it');
    else checkSource(list, source, at, action, namespace);
  });
  (rule.to ?? []).forEach(({ operation }, i) => {
    const at = `${path}.to[${i}].operation`;
    if (operation === undefined || isBlank(operation)) {
      list.error('MissingField', at, 'asks for nothing', 'add a field to it');
    } else {
      checkOperation(list, operation, at);
    }
  });
  (rule.when ?? []).forEach((when, i) => {
    checkWhen(list, when, `${path}.when[${i}]`, action);
  });
  if ((action === 'DENY' || action === 'ALLOW') && targetRefsOf(spec).length === 0) {
    warnLayer7(list, rule, path, action);
  }
}

function isBlank(fields: object): boolean {
  return Object.values(fields).every((value) => value === undefined || (Array.isArray(value) && value.length === 0));
}

function checkSource(list: ProblemList, source: Source, at: string, action: string, namespace: string): void {
  noBlanks(list, source, at);
  for (const field of ['ipBlocks', 'notIpBlocks', 'remoteIpBlocks', 'notRemoteIpBlocks'] as const) {
    checkRanges(list, source[field], `${at}.${field}`);
  }
  const named = (source.serviceAccounts?.length ?? 0) + (source.notServiceAccounts?.length ?? 0) > 0;
  for (const field of ['principals', 'notPrincipals', 'namespaces', 'notNamespaces'] as const) {
    if (named && (source[field]?.length ?? 0) > 0) {
      list.error(
        'ConflictingFields',
        `${at}.${field}`,
        'cannot stand beside serviceAccounts',
        `move ${field} to a source of its own`,
      );
    }
  }
  for (const field of ['serviceAccounts', 'notServiceAccounts'] as const) {
    source[field]?.forEach((account, i) => {
      if (account.split('/').length > 2 || account.includes('*')) {
        const example = `${namespace === '' ? 'default' : namespace}/name`;
        list.error('InvalidValue', `${at}.${field}[${i}]`, `"${account}" is no service account`, `write ${example}`);
      }
    });
  }
  if (action === 'CUSTOM') {
    for (const field of IDENTITY_FIELDS) {
      if ((source[field]?.length ?? 0) > 0) {
        list.error('ConflictingFields', `${at}.${field}`, 'cannot be used with action CUSTOM', `remove ${field}`);
      }
    }
  }
}

function checkOperation(list: ProblemList, operation: Operation, at: string): void {
  noBlanks(list, operation, at);
  for (const field of ['ports', 'notPorts'] as const) checkPorts(list, operation[field], `${at}.${field}`);
}

function checkRanges(list: ProblemList, values: readonly string[] | undefined, at: string): void {
  values?.forEach((text, i) => {
    if (text !== '' && parseCidr(text) === undefined) {
      list.error(
        'InvalidValue',
        `${at}[${i}]`,
        `"${text}" is no address or range`,
        'write it as 10.0.0.0/8 or 2001:db8::/32',
      );
    }
  });
}

function checkPorts(list: ProblemList, values: readonly string[] | undefined, at: string): void {
  values?.forEach((text, i) => {
    if (text !== '' && parsePort(text) === undefined) {
      list.error('InvalidValue', `${at}[${i}]`, `"${text}" is no port`, 'write a number from 1 to 65535');
    }
  });
}

function noBlanks(list: ProblemList, fields: Source | Operation, at: string): void {
  for (const [field, values] of Object.entries(fields as Record<string, unknown>)) {
    if (!Array.isArray(values)) continue;
    values.forEach((value, i) => {
      if (value === '') list.error('InvalidValue', `${at}.${field}[${i}]`, 'is empty', 'write a value or remove it');
    });
  }
}

function checkWhen(list: ProblemList, when: When, at: string, action: string): void {
  const key = when.key ?? '';
  const known: readonly string[] = [...L4_WHEN_KEYS, ...L7_WHEN_KEYS];
  if (key === '') {
    list.error('MissingField', `${at}.key`, 'is required', `write one of ${known.join(', ')}`);
  } else if (!(L4_WHEN_KEYS as readonly string[]).includes(key) && !isLayer7Key(key)) {
    const guess = nearest(key, known);
    list.error(
      'UnknownValue',
      `${at}.key`,
      `"${key}" is not known`,
      guess === undefined ? `write one of ${known.join(', ')}` : `did you mean ${guess}?`,
    );
  }
  if ((when.values?.length ?? 0) + (when.notValues?.length ?? 0) === 0) {
    list.error('MissingField', `${at}.values`, 'there are neither values nor notValues', 'add one of them');
  }
  for (const field of ['values', 'notValues'] as const) {
    if (key === 'source.ip' || key === 'destination.ip' || key === 'remote.ip') {
      checkRanges(list, when[field], `${at}.${field}`);
    } else if (key === 'destination.port') {
      checkPorts(list, when[field], `${at}.${field}`);
    }
  }
  const identity = /^(source\.(namespace|serviceAccount|trustDomain|principal)|request\.auth\.)/.test(key);
  if (action === 'CUSTOM' && identity) {
    list.error('ConflictingFields', `${at}.key`, `${key} cannot be used with action CUSTOM`, 'remove it');
  }
}

/** What asks for HTTP attributes where no waypoint reads them is not done as written. */
function warnLayer7(list: ProblemList, rule: AuthorizationRule, path: string, action: string): void {
  const fields = [
    ...(rule.from ?? []).flatMap(({ source }) =>
      L7_SOURCE_FIELDS.filter((field) => (source?.[field]?.length ?? 0) > 0),
    ),
    ...(rule.to ?? []).flatMap(({ operation }) =>
      L7_OPERATION_FIELDS.filter((field) => (operation?.[field]?.length ?? 0) > 0),
    ),
    ...(rule.when ?? []).map((when) => when.key ?? '').filter(isLayer7Key),
  ];
  if (fields.length === 0) return;
  const what = `${[...new Set(fields)].join(', ')} can only be judged by a waypoint`;
  const fix = 'attach the policy to a waypoint with targetRefs';
  if (action === 'DENY') {
    const message = `${what}; node proxies deny without looking at it`;
    list.warning('WiderThanMeant', path, message, `${fix}, or deny by ports and sources only`);
  } else {
    list.warning('NeedsWaypoint', path, `${what}; at node proxies this rule allows nothing`, fix);
  }
}
