// SPDX-License-Identifier: Apache-2.0
// Writes down what an HTTP/1.1 receiver says, message by message, so that two ways to read the same bytes can be compared.
import type { Http1Head } from '#lib/wire/http1/head.ts';
import { http1Reason } from '#lib/wire/http1/reason.ts';
import { type Http1Handler, Http1Receiver } from '#lib/wire/http1/receiver.ts';

export interface RecordedMessage {
  readonly method: string;
  readonly target: string;
  readonly status: number;
  readonly fields: readonly (readonly [name: string, value: string])[];
  body: string;
  trailers: readonly (readonly [name: string, value: string])[];
  complete: boolean;
}

export function fieldsOf(head: Http1Head): [name: string, value: string][] {
  return Array.from({ length: head.fields }, (_, i) => [head.name(i), head.value(i)]);
}

class Recorder implements Http1Handler {
  readonly messages: RecordedMessage[] = [];
  error = '';

  onHead(head: Http1Head): void {
    const { method, target, status } = head;
    const fields = fieldsOf(head);
    this.messages.push({ method, target, status, fields, body: '', trailers: [], complete: false });
  }
  onBody(buffer: Buffer, start: number, end: number): void {
    this.messages.at(-1)!.body += buffer.toString('latin1', start, end);
  }
  onEnd(trailers: Http1Head | null): void {
    const message = this.messages.at(-1)!;
    message.complete = true;
    if (trailers !== null) message.trailers = fieldsOf(trailers);
  }
  onError(code: number): void {
    this.error = http1Reason(code);
  }
}

/** Reads `bytes` in pieces that end at `cuts`, one message after another; responses as answers to `method`. */
export function readHttp1(
  kind: 'request' | 'response',
  bytes: Buffer,
  cuts: readonly number[] = [],
  method = 'GET',
  closes = false,
): { messages: RecordedMessage[]; error: string } {
  const recorder = new Recorder();
  const receiver = new Http1Receiver(kind === 'request', recorder);
  const bounds = [...new Set([...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort((a, b) => a - b);
  let from = 0;
  for (const bound of bounds) {
    // A copy each time: what was passed before must not be needed any more.
    const piece = Buffer.from(bytes.subarray(from, bound));
    for (let at = 0; at < piece.length && recorder.error === ''; ) {
      receiver.expect(method);
      receiver.next();
      at = receiver.receive(piece, at, piece.length);
    }
    piece.fill(0xdd);
    from = bound;
  }
  if (closes) receiver.end();
  return { messages: recorder.messages, error: recorder.error };
}
