// SPDX-License-Identifier: Apache-2.0
// What changes in the head of an answer on its way to the client.
import type { HeaderChanges } from '#lib/mesh/http/route-table.ts';
import { sessionHeader } from '#lib/mesh/upstream/affinity.ts';
import { HeadEdits } from '#lib/wire/http/edits.ts';
import type { ForwardedRequest } from './forwarded-request.ts';
import { applyChanges } from './header-changes.ts';
import { serverLine, upstreamTime } from './own-lines.ts';

/** Of a server's answer. `setCookie`: of consistent hashing, '' for none. */
export function responseEdits(exchange: ForwardedRequest, setCookie: string): HeadEdits {
  const edits = new HeadEdits();
  const { upstreamMs, verdict } = exchange;
  const { headers } = exchange.origin.door.settings;
  if (headers?.passServer !== true) edits.setLine(serverLine(headers?.server ?? ''));
  if (headers?.noDebug !== true && upstreamMs >= 0) edits.setLine(upstreamTime(upstreamMs));
  if (verdict !== null && verdict.responseHeaders.length > 0) applyChanges(edits, verdict.responseHeaders);
  applyChanges(edits, exchange.responseChanges);
  if (setCookie !== '') applyChanges(edits, [added('set-cookie', setCookie)]);
  tellSession(exchange, edits);
  return edits;
}

/** Of an answer of the proxy itself. */
export function replyEdits(
  { origin, responseChanges }: ForwardedRequest,
  changes: readonly HeaderChanges[],
): HeadEdits {
  const edits = new HeadEdits();
  const { headers } = origin.door.settings;
  if (headers?.passServer !== true) edits.addLine(serverLine(headers?.server ?? ''));
  applyChanges(edits, changes);
  applyChanges(edits, responseChanges);
  return edits;
}

/** The client learns which endpoint its session has. */
function tellSession({ member, runtime, verdict }: ForwardedRequest, edits: HeadEdits): void {
  const host = member?.host;
  if (verdict?.rule.session === undefined || host === undefined || host === null) return;
  const known = verdict.session;
  if (known?.token === host.token) return;
  const backend = verdict.rule.backends.indexOf(verdict.backend);
  const sinceMs = Math.floor(known?.sinceMs ?? runtime.now());
  applyChanges(edits, [added(...sessionHeader(verdict.rule.session, backend, host, sinceMs))]);
}

function added(name: string, value: string): HeaderChanges {
  return { set: [], add: [{ name, value }], remove: [] };
}
