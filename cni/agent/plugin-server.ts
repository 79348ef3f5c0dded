// SPDX-License-Identifier: Apache-2.0
// The plugin's door: HTTP on a unix socket, POST /cmdadd with what the runtime gave the plugin. 200 means that the pod may start, enrolled
// or not; anything else that it must not.
import { chmodSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { dirname } from 'node:path';
import { describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import { Endpoint } from '#lib/linux/address.ts';
import type { CniMetrics } from './metrics.ts';

const MAX_BODY_BYTES = 1 << 20;

/** What the plugin sends, as Istio's plugin does. */
export interface AddRequest {
  readonly netns: string;
  readonly name: string;
  readonly namespace: string;
  readonly ips: readonly string[];
}

/** The body of /cmdadd; undefined when it is malformed. */
export function parseAddRequest(body: string): AddRequest | undefined {
  try {
    const value = JSON.parse(body) as Record<string, unknown>;
    const { Netns: netns, PodName: name, PodNamespace: namespace } = value;
    if (typeof netns !== 'string' || typeof name !== 'string' || typeof namespace !== 'string') return undefined;
    if (netns === '' || name === '' || namespace === '') return undefined;
    const list = Array.isArray(value['IPs']) ? (value['IPs'] as { Address?: { IP?: unknown } }[]) : [];
    const ips = list.flatMap((entry) => {
      const ip = entry?.Address?.IP;
      const address = typeof ip === 'string' ? Endpoint.parse(ip) : undefined;
      return address ? [address.ip()] : [];
    });
    return { netns, name, namespace, ips };
  } catch {
    return undefined;
  }
}

export interface PluginServerOptions {
  readonly path: string;
  readonly log: Logger;
  readonly metrics: CniMetrics;
  /** Enrols the pod if it should be; resolves to whether it was. */
  readonly onAdd: (request: AddRequest) => Promise<boolean>;
}

/** Serves until closed. Throws when the socket cannot be bound. */
export async function servePlugin(options: PluginServerOptions): Promise<{ close(): Promise<void> }> {
  const { log, metrics, path } = options;
  if (!existsSync(dirname(path))) mkdirSync(dirname(path), { recursive: true, mode: 0o750 });
  rmSync(path, { force: true });
  const server: Server = createServer((request, response) => {
    handle(request, options).then(
      ([status, text]) => {
        metrics.pluginRequests.inc({ response_code: String(status) });
        response.writeHead(status, { 'content-type': 'text/plain' }).end(text);
      },
      (error: unknown) => {
        log.error('a plugin request failed', { error: describeError(error) });
        metrics.pluginRequests.inc({ response_code: '500' });
        response.writeHead(500, { 'content-type': 'text/plain' }).end(describeError(error));
      },
    );
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(path, resolve));
  chmodSync(path, 0o666);
  return {
    close: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

async function handle(request: IncomingMessage, { log, onAdd }: PluginServerOptions): Promise<[number, string]> {
  if (request.url !== '/cmdadd') return [404, 'not found'];
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) return [400, 'the body is too large'];
    chunks.push(chunk);
  }
  const add = parseAddRequest(Buffer.concat(chunks).toString('utf8'));
  if (!add) return [400, 'the body is empty or malformed'];
  const enrolled = await onAdd(add);
  log.debug('answered the plugin', { pod: `${add.namespace}/${add.name}`, enrolled });
  return [200, enrolled ? 'enrolled' : 'not enrolled'];
}
