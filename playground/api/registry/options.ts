// SPDX-License-Identifier: Apache-2.0
// The query parameters of requests, decoded once. Source: meta/v1 ListOptions, CreateOptions, PatchOptions.
import { isTrue } from '../http/request-info.ts';
import { badRequest } from '../status.ts';
import { type FieldTerm, type LabelMatch, parseFieldSelector, parseLabelSelector } from '../store/selector.ts';

export interface ListOptions {
  readonly labels: LabelMatch | undefined;
  readonly fields: readonly FieldTerm[];
  readonly limit: number;
  readonly continue: string;
  readonly resourceVersion: string;
  readonly resourceVersionMatch: string;
  readonly sendInitialEvents: boolean;
  readonly allowBookmarks: boolean;
  readonly timeoutSeconds: number | undefined;
}

export interface WriteOptions {
  readonly dryRun: boolean;
  readonly manager: string;
  readonly force: boolean;
  readonly fieldValidation: 'Ignore' | 'Warn' | 'Strict';
}

const MANAGER_LIMIT = 128;

export function listOptions(query: URLSearchParams): ListOptions {
  const labels = parseLabelSelector(query.get('labelSelector') ?? '');
  if (!labels.ok) throw badRequest(labels.problems[0]!.message);
  const fields = parseFieldSelector(query.get('fieldSelector') ?? '');
  if (!fields.ok) throw badRequest(fields.problems[0]!.message);
  const timeout = Number(query.get('timeoutSeconds') ?? '');
  return {
    labels: query.get('labelSelector') ? labels.value : undefined,
    fields: fields.value,
    limit: Number(query.get('limit') ?? 0) || 0,
    continue: query.get('continue') ?? '',
    resourceVersion: query.get('resourceVersion') ?? '',
    resourceVersionMatch: query.get('resourceVersionMatch') ?? '',
    sendInitialEvents: isTrue(query.get('sendInitialEvents')),
    allowBookmarks: isTrue(query.get('allowWatchBookmarks')),
    timeoutSeconds: timeout > 0 ? timeout : undefined,
  };
}

export function writeOptions(query: URLSearchParams, userAgent: string): WriteOptions {
  const validation = query.get('fieldValidation') || 'Warn';
  if (validation !== 'Ignore' && validation !== 'Warn' && validation !== 'Strict')
    throw badRequest(
      `fieldValidation: Unsupported value: "${validation}": supported values: "Ignore", "Strict", "Warn"`,
    );
  const dryRun = query.getAll('dryRun');
  if (dryRun.some((value) => value !== 'All' && value !== ''))
    throw badRequest(`dryRun: Unsupported value: "${dryRun[0]}"`);
  return {
    dryRun: dryRun.includes('All'),
    manager: (query.get('fieldManager') || userAgent.split('/')[0] || 'unknown').slice(0, MANAGER_LIMIT),
    force: isTrue(query.get('force')),
    fieldValidation: validation,
  };
}
