// SPDX-License-Identifier: Apache-2.0
// The proxies of the layer-7 benchmark with the same routes: one process or thread each, which parses every head, chooses a route
// by path, sets x-forwarded-proto and a request id, overwrites `server`, and keeps connections to the server. Envoy comes
// as a Python package (envoy.ts).
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { background } from '../../harness/run.ts';
import { envoyPath } from './envoy.ts';
import { hbone } from './hbone.ts';
import type { L7Peer, L7Setting } from './peer.ts';
import { startWaypoint } from './start.ts';

export const pathOf = (route: number): string => `/service-${route}/items`;
const routes = ({ first = 0, routes: count }: L7Setting): number[] =>
  Array.from({ length: count }, (_, i) => first + i);
const file = (folder: string, name: string, text: string): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};

export const none: L7Peer = {
  name: 'no proxy',
  takes: ({ mesh, policy, routes: count }) => !policy && !mesh && count === 1,
  start: () => background('sleep', ['86400']),
  h2Port: (port) => port,
};

/** What routes cost is less than two processes of one setting differ by, 8 %. */
export const MOST_PROCESSES = 5;

export const ambit: L7Peer = {
  name: 'ambit',
  takes: () => true,
  processes: ({ routes: count }) => (count > 1 ? MOST_PROCESSES : 1),
  h2Port: (port) => port,
  start: (port, upstream, setting, folder) => {
    const target = { service: 'default/app.x', port: 80 };
    const text = JSON.stringify({
      workloads: [
        {
          uid: 'app',
          name: 'app',
          namespace: 'default',
          workloadIps: ['127.0.0.1'],
          services: { 'default/app.x': { 80: upstream } },
        },
      ],
      services: [{ name: 'app', namespace: 'default', hostname: 'app.x', vips: [], ports: { 80: upstream } }],
      waypoint: { name: 'default/bench', listeners: [{ name: 'http', port, protocol: 'HTTP', routeTable: 'routes' }] },
      routeTables: [
        {
          name: 'routes',
          http: [
            {
              hosts: [
                {
                  hosts: ['*'],
                  entries: routes(setting).map((i, rule) => ({
                    rule,
                    match: { path: { kind: 'KIND_SEGMENTS', value: `/service-${i}` } },
                  })),
                },
              ],
              rules: routes(setting).map((i) => ({
                name: `r${i}`,
                origin: 'HTTPRoute default/bench',
                backends: [{ weight: 1, target }],
              })),
            },
          ],
        },
      ],
      ...(setting.policy
        ? {
            accessPolicies: [
              {
                name: 'default/deny',
                action: 'ACTION_DENY',
                rules: [
                  {
                    clauses: [{ matches: [{ http: { paths: { any: [{ kind: 'KIND_PREFIX', value: '/secret' }] } } }] }],
                  },
                ],
              },
              {
                name: 'default/allow',
                rules: [
                  { clauses: [{ matches: [{ http: { methods: { any: [{ kind: 'KIND_EXACT', value: 'GET' }] } } }] }] },
                ],
              },
            ],
          }
        : {}),
    });
    return startWaypoint(file(folder, 'waypoint.yaml', text), {
      AMBIT_ACCESS_LOG: setting.policy ? 'text' : 'off',
    });
  },
};

/** With the last of many routes and no other, for what the others cost: alternating with them, since minutes differ by more. */
const oneRoute: L7Peer = {
  name: 'ambit-1-route',
  takes: ({ routes: count }) => count > 1,
  processes: () => MOST_PROCESSES,
  h2Port: ambit.h2Port,
  start: (port, upstream, setting, folder) =>
    ambit.start(port, upstream, { ...setting, first: setting.routes - 1, routes: 1 }, folder),
};

export const haproxy: L7Peer = {
  name: 'haproxy',
  takes: ({ mesh, policy }) => !policy && !mesh,
  h2Port: (port) => port + 1,
  start: (port, upstream, setting, folder) => {
    const map = file(
      folder,
      'routes.map',
      routes(setting)
        .map((i) => `/service-${i} app\n`)
        .join(''),
    );
    const text = `global
  nbthread 1
  maxconn 9000
defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  http-reuse always
frontend in
  bind 127.0.0.1:${port}
  bind 127.0.0.1:${port + 1} proto h2
  http-request set-header x-forwarded-proto http
  http-request set-header x-request-id %[uuid()]
  http-response set-header server haproxy
  use_backend %[path,map_beg(${map})]
backend app
  server app 127.0.0.1:${upstream}
`;
    return background('haproxy', ['-db', '-f', file(folder, 'haproxy.cfg', text)]);
  },
};

export const nginx: L7Peer = {
  name: 'nginx',
  takes: ({ mesh, policy }) => !policy && !mesh,
  h2Port: (port) => port + 1,
  start: (port, upstream, setting, folder) => {
    const locations = routes(setting).map((i) => `location /service-${i}/ { proxy_pass http://app; }`);
    const text = `user root;
worker_processes 1;
daemon off;
pid ${folder}/nginx.pid;
error_log /dev/null;
events { worker_connections 12000; }
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  keepalive_requests 100000000;
  keepalive_timeout 1h;
  upstream app { server 127.0.0.1:${upstream}; keepalive 512; keepalive_requests 100000000; }
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_set_header x-forwarded-proto http;
  proxy_set_header x-request-id $request_id;
  server { listen 127.0.0.1:${port}; listen 127.0.0.1:${port + 1} http2;
  ${locations.join('\n  ')}
  }
}
`;
    return background('nginx', ['-p', folder, '-c', file(folder, 'nginx.conf', text)]);
  },
};

function envoyPeer(program: string): L7Peer {
  return {
    name: 'envoy',
    takes: ({ mesh }) => !mesh,
    h2Port: (port) => port,
    start: (port, upstream, setting, folder) => {
      const hcm =
        'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
      const prefixed = (prefix: string): object => ({ url_path: { path: { prefix } } });
      const rbac = (action: string, name: string, permissions: object[]): object => ({
        name: `rbac-${name}`,
        typed_config: {
          '@type': 'type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC',
          rules: { action, policies: { [name]: { permissions, principals: [{ any: true }] } } },
        },
      });
      const get = { header: { name: ':method', string_match: { exact: 'GET' } } };
      const filters = [
        ...(setting.policy ? [rbac('DENY', 'deny', [prefixed('/secret')]), rbac('ALLOW', 'allow', [get])] : []),
        {
          name: 'envoy.filters.http.router',
          typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' },
        },
      ];
      const manager = {
        '@type': hcm,
        stat_prefix: 'in',
        codec_type: 'AUTO',
        http_filters: filters,
        ...(setting.policy
          ? {
              access_log: [
                {
                  name: 'file',
                  typed_config: {
                    '@type': 'type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog',
                    path: '/dev/null',
                  },
                },
              ],
            }
          : {}),
        route_config: {
          virtual_hosts: [
            {
              name: 'all',
              domains: ['*'],
              routes: routes(setting).map((i) => ({
                match: { path_separated_prefix: `/service-${i}` },
                route: { cluster: 'app' },
              })),
            },
          ],
        },
      };
      const address = (value: number): object => ({ socket_address: { address: '127.0.0.1', port_value: value } });
      const config = {
        static_resources: {
          listeners: [
            {
              address: address(port),
              filter_chains: [
                { filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }] },
              ],
            },
          ],
          clusters: [
            {
              name: 'app',
              type: 'STATIC',
              load_assignment: {
                cluster_name: 'app',
                endpoints: [{ lb_endpoints: [{ endpoint: { address: address(upstream) } }] }],
              },
            },
          ],
        },
      };
      const args = [
        '-c',
        file(folder, 'envoy.json', JSON.stringify(config)),
        '--concurrency',
        '1',
        '-l',
        'error',
        '--disable-hot-restart',
      ];
      return background(program, args);
    },
  };
}

/** All that are here. */
export function l7Peers(): L7Peer[] {
  const envoy = envoyPath();
  return [none, ambit, oneRoute, hbone, haproxy, nginx, ...(envoy === undefined ? [] : [envoyPeer(envoy)])];
}

/** A folder for a peer's files, removed by `stop`. */
export function peerFolder(): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'ambit-l7-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}
