// SPDX-License-Identifier: Apache-2.0
// A proxy's three small HTTP servers, on the ports that Istio's have: admin on loopback, metrics and readiness on every address.
import { readdirSync, readFileSync } from 'node:fs';
import { type AdminRequest, type AdminServer, type Reply, type Route, serveHttp, text } from '#lib/kit/admin.ts';
import type { Logger } from '#lib/kit/log.ts';
import type { Readiness } from '#lib/kit/readiness.ts';
import type { Exposition } from '../telemetry/exposition.ts';

export interface ServersOptions {
  /** 0 takes a free port, which the log tells. */
  readonly ports: { readonly port: number; readonly statsPort: number; readonly readyPort: number };
  /** Whether IPv6 is served where the machine has it. */
  readonly ipv6: boolean;
  /** Pages of the program, for those on this machine. */
  readonly pages: Readonly<Record<string, Route>>;
  /** Whoever posts to `/quitquitquit` asks for the end. */
  readonly quit: () => void;
  readonly exposition: Exposition;
  readonly readiness: Readiness;
  readonly log: Logger;
  /** Status while not ready. */
  readonly notReady: 500 | 503;
}

const OPEN_METRICS = 'application/openmetrics-text;charset=utf-8;version=1.0.0';

/** Rejects when a port is taken; then none is open. */
export async function serveProxy(options: ServersOptions): Promise<readonly AdminServer[]> {
  const { exposition, ipv6, ports } = options;
  const servers: AdminServer[] = [];
  const wildcard = ipv6 && hasIpv6() ? '::' : '0.0.0.0';
  const pages = { ...options.pages, '/quitquitquit': quitPage(options.quit) };
  const routes: readonly (readonly [string, number, Readonly<Record<string, Route>>])[] = [
    ['127.0.0.1', ports.port, pages],
    ...(hasLoopback6() ? [['::1', ports.port, pages] as const] : []),
    [wildcard, ports.statsPort, metricPages(exposition)],
    [wildcard, ports.readyPort, { '/healthz/ready': (request) => ready(request, options) }],
  ];
  try {
    for (const [host, port, table] of routes) servers.push(await serveHttp({ host, port, routes: table }));
  } catch (error) {
    await Promise.all(servers.map((server) => server.close()));
    throw error;
  }
  const portOf = (at: number): number => servers.at(at)!.port;
  options.log.info('serving', { admin: portOf(0), stats: portOf(-2), ready: portOf(-1) });
  return servers;
}

/** The page that names the others. */
export function indexPage(name: string, pages: readonly string[]): Route {
  const items = [...pages, 'quitquitquit (POST): drain and end'].map((page) => `<li>${page}\n`).join('');
  const body = `<!doctype html><title>${name}</title><h1>${name}</h1><ul>\n${items}</ul>\n`;
  return () => ({ type: 'text/html; charset=utf-8', body });
}

function quitPage(quit: () => void): Route {
  return ({ method }) => {
    if (method !== 'POST') return text('Invalid HTTP method\n', 405);
    quit();
    return text('shutdown now\n');
  };
}

function metricPages(exposition: Exposition): Readonly<Record<string, Route>> {
  const serve = ({ headers }: AdminRequest): Reply => {
    const asked = headers.accept?.includes('application/openmetrics-text') === true;
    return { type: asked ? OPEN_METRICS : 'text/plain; charset=utf-8', body: exposition.text(), compressible: true };
  };
  return { '/metrics': serve, '/stats/prometheus': serve };
}

function ready({ method }: AdminRequest, { notReady, readiness }: ServersOptions): Reply {
  if (method !== 'GET') return text('Invalid HTTP method\n', 405);
  if (readiness.ready()) return text('ready\n');
  return text(`not ready, pending: ${readiness.pending().join(', ')}\n`, notReady);
}

function hasLoopback6(): boolean {
  try {
    return readFileSync('/proc/sys/net/ipv6/conf/lo/disable_ipv6', 'utf8').trim() === '0';
  } catch {
    return false;
  }
}

function hasIpv6(): boolean {
  try {
    return readdirSync('/proc/sys/net/ipv6/conf').length > 0;
  } catch {
    return false;
  }
}
