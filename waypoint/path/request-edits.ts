// SPDX-License-Identifier: Apache-2.0
// What changes in a request's head on its way to the server.
import type { ForwardVerdict } from '#lib/mesh/http/route-verdict.ts';
import { HeadEdits } from '#lib/wire/http/edits.ts';
import { FieldKind } from '#lib/wire/http1/field-kind.ts';
import type { ForwardedRequest } from './forwarded-request.ts';
import { applyChanges } from './header-changes.ts';
import { attemptCount, FORWARDED_HTTP } from './own-lines.ts';
import type { Request } from './request.ts';

const NO_TARGET = /[^!-~\x80-\xff]|#/;

/** Whether path and authority can be written: they are the client's own, which were read strictly, or such as it might have sent. */
export function canBeWritten({ authority, path }: ForwardVerdict, own: Request): boolean {
  return (path === own.path || !NO_TARGET.test(path)) && (authority === own.authority || !NO_TARGET.test(authority));
}

/** `verdict` is null for a workload, to which there are no routes. */
export function requestEdits(exchange: ForwardedRequest, verdict: ForwardVerdict | null): HeadEdits {
  const edits = new HeadEdits();
  const { origin, request } = exchange;
  const { head } = exchange.stream;
  const { headers } = origin.door.settings;
  if (request.path !== head.path) edits.path = request.path;
  if (request.authorised.length > 0) applyChanges(edits, request.authorised);
  if (verdict !== null) {
    if (verdict.path !== request.path) {
      edits.path = verdict.path;
      if (headers?.noDebug !== true) edits.set('x-envoy-original-path', request.path);
    }
    if (verdict.authority !== request.authority) edits.authority = verdict.authority;
    applyChanges(edits, verdict.requestHeaders);
  }
  if (request.identified !== undefined) applyChanges(edits, [request.identified]);
  applyChanges(edits, exchange.changes);
  if (!head.has(FieldKind.forwardedProto)) edits.addLine(FORWARDED_HTTP);
  if (!head.has(FieldKind.requestId) && headers?.noRequestId !== true) edits.addLine(exchange.nameIt());
  tellAttempt(exchange, edits, 1);
  const timeout = verdict?.rule.timeoutMs ?? 0;
  if (timeout > 0 && headers?.noDebug !== true) edits.set('x-envoy-expected-rq-timeout-ms', String(timeout));
  if (headers?.forwardedHost === true) edits.set('x-forwarded-host', request.authority);
  if (headers?.forwardedPort === true) edits.set('x-forwarded-port', String(origin.door.port));
  clientIdentity(exchange, edits);
  return edits;
}

/** Tells the server which try this is. */
export function tellAttempt({ origin }: ForwardedRequest, edits: HeadEdits, attempt: number): void {
  const { headers } = origin.door.settings;
  if (headers?.noAttemptCount !== true && headers?.noDebug !== true) edits.setLine(attemptCount(attempt));
}

/** Whoever the client says it is to services is what the tunnel proved, or nobody. */
function clientIdentity({ origin, runtime, stream }: ForwardedRequest, edits: HeadEdits): void {
  const { door, identity } = origin;
  if (door.settings.forwardClientIdentity && identity !== undefined)
    edits.set('x-forwarded-client-cert', `By=${runtime.settings.identity};URI=${identity.uri}`);
  else if (stream.head.has(FieldKind.clientCert)) edits.remove('x-forwarded-client-cert');
}
