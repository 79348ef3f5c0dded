// SPDX-License-Identifier: Apache-2.0
// The supervisor's own interface, HTTP over a Unix socket in the state folder, for `playground status` and `break`.
import { createServer, request, type Server } from 'node:http';
import { AmbitError, describeError } from '#lib/kit/error.ts';
import type { ClusterApp } from './app.ts';
import { cause, type Fault } from './faults.ts';

export interface MachineState {
  readonly name: string;
  /** A process in the node's network, by the id it has in the cluster's PID namespace; undefined while the node is down. */
  readonly pid: number | undefined;
  /** Of a machine that is no node; Kubernetes tells those of nodes. */
  readonly addresses?: readonly string[];
}

const MAX_BODY_BYTES = 64 << 10;

/** Serves until the process ends. */
export async function serveControl(app: ClusterApp, path: string): Promise<Server> {
  const server = createServer((incoming, outgoing) => {
    let body = '';
    incoming.setEncoding('utf8').on('data', (text: string) => {
      body += text;
      if (body.length > MAX_BODY_BYTES) incoming.destroy();
    });
    incoming.once('end', () => {
      answer(app, incoming.method ?? 'GET', incoming.url ?? '/', body).then(
        (value) => outgoing.end(JSON.stringify(value)),
        (error: unknown) => outgoing.writeHead(400).end(JSON.stringify({ message: describeError(error) })),
      );
    });
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(path, () => resolve()));
  return server;
}

async function answer(app: ClusterApp, method: string, url: string, body: string): Promise<unknown> {
  if (method === 'GET' && url === '/machines') {
    const { machines, nodes } = app.plan;
    const state = (name: string): MachineState => ({ name, pid: app.machinePid(name) });
    return [
      ...nodes.map(({ name }) => state(name)),
      ...machines.map(({ ipv4, ipv6, name }) => ({ ...state(name), addresses: [ipv4, ipv6] })),
    ];
  }
  if (method === 'POST' && url === '/break') return { done: await cause(app, JSON.parse(body) as Fault) };
  throw new AmbitError('CONTROL', `${method} ${url} is not served`);
}

/** Asks the supervisor behind the socket `path`. Throws `CONTROL` with its words when it refuses. */
export function askControl<T>(path: string, method: 'GET' | 'POST', url: string, body?: unknown): Promise<T> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath: path, method, path: url }, (incoming) => {
      let text = '';
      incoming.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      incoming.once('end', () => {
        const value = JSON.parse(text) as T & { message?: string };
        if (incoming.statusCode === 200) resolve(value);
        else reject(new AmbitError('CONTROL', value.message ?? `status ${incoming.statusCode}`));
      });
    });
    outgoing.once('error', (cause) => reject(new AmbitError('CONTROL', 'the cluster does not answer', { cause })));
    outgoing.end(body === undefined ? undefined : JSON.stringify(body));
  });
}
