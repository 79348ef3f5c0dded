// SPDX-License-Identifier: Apache-2.0
// Node's own HTTP/1.1 parser (llhttp), as the judge of ours: one byte stream in, whole messages out.
import { createRequire } from 'node:module';

/** What llhttp made of one message. */
export interface LlhttpMessage {
  readonly url: string;
  readonly status: number;
  /** Names as sent, and values, in turn. */
  readonly headers: string[];
  body: string;
  complete: boolean;
}

type Callback = (...args: never[]) => number | undefined;
interface Parser {
  [callback: number]: Callback;
  initialize(type: number, resource: object): void;
  execute(bytes: Buffer): number | Error;
  finish(): Error | undefined;
  close(): void;
}
interface ParserClass {
  new (): Parser;
  readonly REQUEST: number;
  readonly RESPONSE: number;
  readonly kOnHeaders: number;
  readonly kOnHeadersComplete: number;
  readonly kOnBody: number;
  readonly kOnMessageComplete: number;
}
const { HTTPParser } = createRequire(import.meta.url)('node:_http_common') as { HTTPParser: ParserClass };

/** The messages in `bytes`, up to where llhttp refuses to go on, and its code for why. */
export function llhttp(kind: 'request' | 'response', bytes: Buffer): { messages: LlhttpMessage[]; error: string } {
  const parser = new HTTPParser();
  const messages: LlhttpMessage[] = [];
  let early: string[] = [];
  let earlyUrl = '';
  parser.initialize(kind === 'request' ? HTTPParser.REQUEST : HTTPParser.RESPONSE, {});
  // Comes before the head is complete if it has many fields, and with the trailers.
  parser[HTTPParser.kOnHeaders] = ((headers: string[], url: string) => {
    if (messages.at(-1)?.complete === false) return undefined;
    early.push(...headers);
    earlyUrl += url;
    return undefined;
  }) as Callback;
  parser[HTTPParser.kOnHeadersComplete] = ((
    _major: number,
    _minor: number,
    headers: string[] | undefined,
    _method: number,
    url: string | undefined,
    status: number | undefined,
  ) => {
    messages.push({
      url: url ?? earlyUrl,
      status: status ?? 0,
      headers: headers ?? early,
      body: '',
      complete: false,
    });
    early = [];
    earlyUrl = '';
    return 0;
  }) as Callback;
  parser[HTTPParser.kOnBody] = ((chunk: Buffer) => {
    messages.at(-1)!.body += chunk.toString('latin1');
    return undefined;
  }) as Callback;
  parser[HTTPParser.kOnMessageComplete] = (() => {
    messages.at(-1)!.complete = true;
    return undefined;
  }) as Callback;
  const result = parser.execute(bytes);
  const error = typeof result === 'number' ? '' : ((result as { code?: string }).code ?? result.message);
  parser.close();
  return { messages, error };
}
