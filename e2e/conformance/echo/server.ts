// SPDX-License-Identifier: Apache-2.0
// The echo server: answers with lines that tell what arrived and who answers.
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { createServer as createTcpServer } from 'node:net';
import { hostname } from 'node:os';
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js';
import { createTestCa } from '#lib/testkit/certificates.ts';
import { ECHO, type Text } from './grpc.ts';

const ANY = '::';

/** Ports by flag: `--port=8080 --port=8443 --tls=8443 --tcp=9090 --grpc=7070`. */
function portsOf(words: readonly string[], flag: string): number[] {
  return words.flatMap((word) => (word.startsWith(`--${flag}=`) ? [Number(word.slice(flag.length + 3))] : []));
}

/** What the image listens on when it is told nothing. */
const DEFAULT = ['--port=8080', '--tcp=9090', '--grpc=7070'];

export async function serve(given: readonly string[]): Promise<void> {
  const words = given.length > 0 ? given : DEFAULT;
  const secure = new Set(portsOf(words, 'tls'));
  for (const port of portsOf(words, 'port')) {
    if (!secure.has(port)) createServer(answer(port)).listen(port, ANY);
  }
  if (secure.size > 0) {
    const { chainPem, keyPem } = await (await createTestCa('echo')).issue('spiffe://echo/server');
    for (const port of secure) createTlsServer({ cert: chainPem, key: keyPem }, answer(port)).listen(port, ANY);
  }
  for (const port of portsOf(words, 'tcp')) serveTcp(port);
  for (const port of portsOf(words, 'grpc')) await serveGrpc(port);
}

function answer(port: number): RequestListener {
  return (request, response) => {
    request.resume().on('end', () => {
      response.writeHead(200, { 'content-type': 'text/plain' });
      response.end(
        lines({
          ServicePort: String(port),
          Host: request.headers.host ?? '',
          URL: request.url ?? '',
          Method: request.method ?? '',
          Proto: `HTTP/${request.httpVersion}`,
          IP: request.socket.remoteAddress ?? '',
          RequestHeader: headersOf(request),
          Hostname: hostname(),
        }),
      );
    });
  };
}

function headersOf({ rawHeaders }: IncomingMessage): string[] {
  const pairs: string[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) pairs.push(`${rawHeaders[i]}:${rawHeaders[i + 1]}`);
  return pairs;
}

/** `Name=value`, one line for each value. */
export function lines(fields: Readonly<Record<string, string | readonly string[]>>): string {
  return Object.entries(fields)
    .flatMap(([name, value]) => [value].flat().map((one) => `${name}=${one}\n`))
    .join('');
}

function serveTcp(port: number): void {
  createTcpServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.once('data', (data) => socket.end(`${lines({ StatusCode: '200', Hostname: hostname() })}${data}`));
  }).listen(port, ANY);
}

async function serveGrpc(port: number): Promise<void> {
  const server = new Server();
  server.addService(
    { echo: ECHO },
    {
      echo: (call: ServerUnaryCall<Text, Text>, done: sendUnaryData<Text>) => {
        const headers = Object.entries(call.metadata.getMap()).map(([name, value]) => `${name}:${value}`);
        const fields = { StatusCode: '200', Host: call.getHost(), RequestHeader: headers, Hostname: hostname() };
        done(null, { text: lines(fields) });
      },
    },
  );
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`[${ANY}]:${port}`, ServerCredentials.createInsecure(), (error) =>
      error === null ? resolve() : reject(error),
    );
  });
}
