// SPDX-License-Identifier: Apache-2.0
// What a waypoint works with and is no part of, as one program in a pod: an authoriser by HTTP (8080), a server that speaks TLS itself
// (8443, certificate and key from the environment), and a collector of traces (4318, OTLP by HTTP), which tells of spans on its output.
import { createServer, type IncomingMessage } from 'node:http';
import { createServer as createHttps } from 'node:https';
import type { TLSSocket } from 'node:tls';
import { fromBinary } from '@bufbuild/protobuf';
import { ExportTraceServiceRequestSchema } from '#lib/proto/gen/otlp-trace_pb.ts';

/** One line of its output for each span. */
export interface SpanLine {
  readonly traceId: string;
  readonly name: string;
  readonly status: string;
}

async function contentOf(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

createServer((request, response) => {
  request.resume();
  const known = request.url === '/healthz' || request.headers['x-token'] === 'good';
  if (known) response.writeHead(200, { 'x-who': 'ada' }).end();
  else response.writeHead(401, { 'x-reason': 'no-token' }).end('show a token');
}).listen(8080, '::');

const { CERT: cert = '', KEY: key = '' } = process.env;
createHttps({ cert, key }, (request, response) => {
  const { servername } = request.socket as TLSSocket & { servername?: string };
  const { traceparent, 'x-who': who } = request.headers;
  response.end(JSON.stringify({ servername, who, traceparent }));
}).listen(8443, '::');

createServer((request, response) => {
  void contentOf(request).then((content) => {
    const { resourceSpans } = fromBinary(ExportTraceServiceRequestSchema, content);
    for (const { scopeSpans } of resourceSpans) {
      for (const { attributes, name, traceId } of scopeSpans.flatMap(({ spans }) => spans)) {
        const status = attributes.find(({ key }) => key === 'http.status_code')?.value?.value;
        const line: SpanLine = { traceId: Buffer.from(traceId).toString('hex'), name, status: String(status?.value) };
        console.log(JSON.stringify(line));
      }
    }
    response.end();
  });
}).listen(4318, '::');
