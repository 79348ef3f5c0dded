// SPDX-License-Identifier: Apache-2.0
// What a span is called: the destination, its port, and what of the path the route looked at, so that requests of one route share a
// name.
import type { PathMatch } from '#lib/mesh/http/route-table.ts';
import type { RequestRecord } from '../record/request.ts';

export function operationOf({ origin, verdict }: RequestRecord): string {
  const { door } = origin;
  if (verdict === null) {
    const { behind } = door;
    return behind.kind === 'service' ? `${behind.service.hostname}:${door.port}/*` : `${origin.destinationText}/*`;
  }
  const { entry, rule, target } = verdict;
  const path = entry === undefined ? '/*' : pathText(entry.match.path);
  if (rule.backends.length > 1) return `${rule.origin.slice(rule.origin.lastIndexOf('/') + 1)}:${target.port}${path}`;
  return `${target.service.slice(target.service.indexOf('/') + 1)}:${target.port}${path}`;
}

function pathText({ kind, value }: PathMatch): string {
  switch (kind) {
    case 'any':
      return '/*';
    case 'exact':
    case 'regex':
      return value;
    default:
      return `${value}*`;
  }
}
