// SPDX-License-Identifier: Apache-2.0
// Why a server did not answer, in the words of access logs, of retry rules and of the client's answer.
import type { TryOutcome } from '#lib/mesh/upstream/retry.ts';
import type { FailureKind } from '#lib/net/http/exchange.ts';
import type { Refusal } from './filter.ts';

const BEFORE_HEADERS = 'upstream connect error or disconnect/reset before headers. reset reason: ';

const REASONS: Readonly<Record<FailureKind, string>> = {
  connect: 'connection failure',
  reset: 'connection termination',
  closed: 'connection termination',
  refused: 'remote refused stream reset',
  protocol: 'protocol error',
  overflow: 'overflow',
};

const FLAGS: Readonly<Record<FailureKind, string>> = {
  connect: 'UF',
  reset: 'UC',
  closed: 'UC',
  refused: 'UR',
  protocol: 'UPE',
  overflow: 'UO',
};

export const OVERFLOW: Refusal = {
  kind: 'refuse',
  reply: {
    status: 503,
    body: `${BEFORE_HEADERS}overflow`,
    headers: [{ name: 'x-envoy-overloaded', value: 'true' }],
  },
  flags: 'UO',
  details: 'upstream_reset_before_response_started{overflow}',
};

export const NO_MEMBER: Refusal = {
  kind: 'refuse',
  reply: { status: 503, body: 'no healthy upstream' },
  flags: 'UH',
  details: 'no_healthy_upstream',
};

/** A service of whatever hosts are under its wildcard, and this one is not. */
export const STRANGE_HOST: Refusal = {
  kind: 'refuse',
  reply: { status: 404, body: '' },
  flags: 'NR',
  details: 'route_not_found',
};

/** A rewrite must not make two lines of one, whoever wrote it. */
export const BAD_REWRITE: Refusal = {
  kind: 'refuse',
  reply: { status: 500, body: '' },
  flags: '',
  details: 'path_normalization_failed',
};

/** The route leads to a service or a subset that is not known. */
export function noCluster(ruleOrigin: string): Refusal {
  const status = ruleOrigin.startsWith('VirtualService') ? 503 : 500;
  return { kind: 'refuse', reply: { status, body: '' }, flags: 'NC', details: 'cluster_not_found' };
}

/** No answer, and no other try. */
export function noAnswer(kind: FailureKind, cause: string, exhausted: boolean): Refusal {
  const reason = REASONS[kind];
  const transport = kind === 'connect' ? `, transport failure reason: ${cause}` : '';
  return {
    kind: 'refuse',
    reply: { status: kind === 'protocol' ? 502 : 503, body: `${BEFORE_HEADERS}${reason}${transport}` },
    flags: FLAGS[kind] + (exhausted ? ',URX' : ''),
    details: `upstream_reset_before_response_started{${reason.replaceAll(' ', '_')}}`,
  };
}

export function timeout(details: string): Refusal {
  return { kind: 'refuse', reply: { status: 504, body: 'upstream request timeout' }, flags: 'UT', details };
}

/** Flag of an answer that was cut. */
export function flagOfCut(kind: FailureKind): string {
  return kind === 'protocol' ? 'UPE' : kind === 'closed' ? 'UC' : 'UR';
}

export function outcomeOf(kind: FailureKind): TryOutcome {
  if (kind === 'connect') return { kind: 'connect-failure' };
  if (kind === 'refused') return { kind: 'refused-stream' };
  return { kind: 'reset', sent: true };
}
