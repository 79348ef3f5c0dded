// SPDX-License-Identifier: Apache-2.0
// What an authoriser is told of a request or a stream, whichever way it is asked.
import type { RequestView } from '#lib/mesh/http/request.ts';
import type { HeaderValue } from '#lib/mesh/http/route-table.ts';
import type { MessageHead } from '#lib/wire/http/message.ts';
import type { ConnectionRecord } from '../record/connection.ts';
import type { RequestRecord } from '../record/request.ts';

export interface Party {
  readonly ip: string;
  readonly port: number;
  /** SPIFFE URI; '' when nobody has proven anything. */
  readonly principal: string;
}

export interface HttpSubject {
  readonly id: string;
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly host: string;
  readonly scheme: string;
  readonly protocol: string;
  /** Names in lower case; several of one name stand apart. */
  readonly fields: readonly HeaderValue[];
  /** Of its content, as its head says; -1 when it does not. */
  readonly size: number;
  /** As much of its content as the provider asks for. */
  readonly body: Buffer;
  /** There is more content than `body`. */
  readonly partial: boolean;
}

export interface Subject {
  readonly source: Party;
  readonly destination: Party;
  /** Wall clock. */
  readonly timeMs: number;
  /** undefined for a stream that is no HTTP. */
  readonly http: HttpSubject | undefined;
}

/** A request about which an authoriser is asked. */
export interface AskingRequest extends RequestRecord {
  /** Its head says that there is no content. */
  readonly bodyless: boolean;
  /** What of its content is here. */
  readonly store: Content | null;
}

interface Content {
  readonly bytes: number;
  readonly chunks: readonly Buffer[];
}

const NOTHING = Buffer.alloc(0);

/** A connection as it came here. */
export function streamSubject(origin: ConnectionRecord, principal: string, timeMs: number): Subject {
  const { destinationIp, destinationText, door, identity, sourceIp, sourceText } = origin;
  return {
    source: { ip: sourceIp.text, port: portIn(sourceText), principal: identity?.uri ?? '' },
    destination: { ip: destinationIp.text, port: portIn(destinationText) || door.port, principal },
    timeMs,
    http: undefined,
  };
}

/** @param bodyBytes how much content goes along, at most */
export function requestSubject(asking: AskingRequest, bodyBytes: number): Subject {
  const { origin, request, requestId, runtime, store, stream } = asking;
  const content = bodyBytes === 0 ? NOTHING : firstOf(store, bodyBytes);
  return {
    ...streamSubject(origin, runtime.settings.identity, runtime.now()),
    http: {
      id: requestId,
      method: request.method,
      path: request.path,
      host: request.authority,
      scheme: request.scheme,
      protocol: stream.head.protocol,
      fields: fieldsOf(stream.head, request),
      size: asking.bodyless ? 0 : stream.head.contentLength,
      body: content,
      partial: bodyBytes > 0 && (store?.bytes ?? 0) > content.length,
    },
  };
}

/** As rules see them: with what authorisers asked before have changed. */
function fieldsOf(head: MessageHead, request: RequestView): HeaderValue[] {
  const fields: HeaderValue[] = [];
  for (let i = 0; i < head.count; i++) {
    const name = head.name(i);
    const value = request.header(name);
    // A name whose value was changed stands there once, with what holds now.
    if (value === undefined) continue;
    if (value === head.get(name) || head.get(name) === undefined) fields.push({ name, value: head.value(i) });
    else if (!fields.some((one) => one.name === name)) fields.push({ name, value });
  }
  return fields;
}

function firstOf(store: Content | null, bytes: number): Buffer {
  return store === null ? NOTHING : Buffer.concat(store.chunks).subarray(0, bytes);
}

function portIn(text: string): number {
  const port = Number(text.slice(text.lastIndexOf(':') + 1));
  return Number.isInteger(port) ? port : 0;
}
