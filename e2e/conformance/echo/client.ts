// SPDX-License-Identifier: Apache-2.0
// The echo client: `client <url> [--method=M] [-H name:value]… [--count=N]`. Prints a block of `Name=value` lines for
// each response, blocks apart by an empty line, in the form the suite reads.
import { Agent, request } from 'node:http';
import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { ECHO, type Text } from './grpc.ts';
import { lines } from './server.ts';

/** Requests under way at once when there are many. */
const WIDTH = 16;
const TIMEOUT_MS = 10_000;

interface Call {
  readonly url: URL;
  readonly method: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly count: number;
}

/** Throws for words it does not know, so that a suite that asks more is noticed. */
export function parseCall(words: readonly string[]): Call {
  let method = 'GET';
  let count = 1;
  let url: URL | undefined;
  const headers: [string, string][] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? '';
    if (word === '-H') {
      const text = words[++i] ?? '';
      const colon = text.indexOf(':');
      headers.push([text.slice(0, colon), text.slice(colon + 1)]);
    } else if (word.startsWith('--method=')) method = word.slice('--method='.length);
    else if (word.startsWith('--count=')) count = Number(word.slice('--count='.length));
    else if (url === undefined && word.includes('://')) url = new URL(word);
    else throw new Error(`client: ${word} is not understood`);
  }
  if (url === undefined) throw new Error('client: no URL is given');
  return { url, method, headers, count };
}

/** Sends the requests and prints their answers; gives the exit code, 1 when a request had no answer. */
export async function runClient(words: readonly string[], print: (text: string) => void): Promise<number> {
  const call = parseCall(words);
  const agent = new Agent({ keepAlive: call.count > 1, maxSockets: WIDTH });
  const channel = call.url.protocol === 'grpc:' ? new Client(call.url.host, credentials.createInsecure()) : undefined;
  let failed = 0;
  let sent = 0;
  const worker = async (): Promise<void> => {
    while (sent < call.count) {
      sent++;
      try {
        print(`${await (channel === undefined ? askHttp(call, agent) : askGrpc(call, channel))}\n`);
      } catch (error) {
        failed++;
        process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(WIDTH, call.count) }, worker));
  agent.destroy();
  channel?.close();
  return failed === 0 ? 0 : 1;
}

function askHttp({ headers, method, url }: Call, agent: Agent): Promise<string> {
  const named: Record<string, string | string[]> = {};
  for (const [name, value] of headers) {
    const known = named[name];
    // A list of one is not the same to Node where a header may stand only once, as Host.
    named[name] = known === undefined ? value : [known, value].flat();
  }
  return new Promise((resolve, reject) => {
    const asked = request(url, { method, agent, headers: named, timeout: TIMEOUT_MS }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const answered: string[] = [];
        for (let i = 0; i < response.rawHeaders.length; i += 2) {
          answered.push(`${response.rawHeaders[i]}:${response.rawHeaders[i + 1]}`);
        }
        const head = lines({ StatusCode: String(response.statusCode), ResponseHeader: answered });
        // A body of another server than the echo server may have empty lines, which would end the block.
        const body = Buffer.concat(chunks)
          .toString('utf8')
          .replaceAll(/\n\s*\n/g, '\n');
        resolve(`${head}${body.endsWith('\n') || body === '' ? body : `${body}\n`}`);
      });
    });
    asked.on('timeout', () => asked.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`)));
    asked.on('error', reject);
    asked.end();
  });
}

/** Statuses of gRPC as the suite compares them: 200 for a success, else the code of HTTP that means the same. */
const HTTP_STATUS: Readonly<Record<number, number>> = {
  [status.UNIMPLEMENTED]: 404,
  [status.UNAVAILABLE]: 503,
  [status.PERMISSION_DENIED]: 403,
  [status.DEADLINE_EXCEEDED]: 504,
};

function askGrpc({ headers }: Call, channel: Client): Promise<string> {
  const metadata = new Metadata();
  for (const [name, value] of headers) metadata.add(name, value);
  return new Promise((resolve, reject) => {
    const done = (error: ServiceError | null, answer?: Text): void => {
      const code = error === null ? 200 : HTTP_STATUS[error.code];
      if (error === null) resolve(answer?.text ?? '');
      else if (code === undefined) reject(error);
      else resolve(lines({ StatusCode: String(code), Message: error.details.replaceAll('\n', ' ') }));
    };
    const deadline = Date.now() + TIMEOUT_MS;
    const { path, requestSerialize, responseDeserialize } = ECHO;
    channel.makeUnaryRequest(path, requestSerialize, responseDeserialize, { text: '' }, metadata, { deadline }, done);
  });
}
