// SPDX-License-Identifier: Apache-2.0
// What rules do to requests, seen from both ends of the program.
import assert from 'node:assert/strict';
import { createServer, request as httpRequest, type IncomingMessage, type Server } from 'node:http';
import { after, before, test } from 'node:test';
import { listenAnywhere } from '#lib/testkit/listen.ts';
import { until } from '#lib/testkit/until.ts';
import { backendOf, serviceOf, WaypointProgram } from '#lib/testkit/waypoint.ts';

interface Seen {
  readonly backend: string;
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

const seen: Seen[] = [];
/** Statuses that the backend of that name gives next, before 200. */
const troubles = new Map<string, (number | 'reset' | 'silence')[]>();

function backend(name: string): Server {
  return createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const { headers, method = '', url = '' } = request;
      seen.push({ backend: name, method, url, headers, body: Buffer.concat(parts).toString() });
      const trouble = troubles.get(name)?.shift();
      if (trouble === 'reset') request.socket.destroy();
      else if (trouble !== 'silence')
        response.writeHead(trouble ?? 200, { 'x-backend': name, 'x-remove': 'me' }).end(`from ${name}`);
    });
  });
}

const servers = { v1: backend('v1'), v2: backend('v2') };
let program: WaypointProgram;
const path = (value: string): object => ({ path: { kind: 'KIND_SEGMENTS', value } });
const header = (name: string, value: string): object => ({ name, value });

before(async () => {
  const ports = await Promise.all(Object.values(servers).map(listenAnywhere));
  const [v1, v2] = ports as [number, number];
  program = await WaypointProgram.start({
    services: [
      { name: 'v1', ports: [v1] },
      { name: 'v2', ports: [v2] },
      { name: 'both', ports: [v1, v2] },
      { name: 'none', ports: [] },
      { name: 'refusing', ports: [1] },
      { name: 'half', ports: [1, v1] },
      { name: 'narrow', ports: [v1] },
      { name: 'broken', ports: [v1] },
    ],
    routes: [
      { match: path('/weights'), rule: { backends: [backendOf('v1', 80), backendOf('v2', 20)] } },
      {
        match: path('/headers'),
        rule: {
          backends: [backendOf('v1')],
          requestHeaders: { set: [header('x-set', 'new')], add: [header('x-add', 'two')], remove: ['x-gone'] },
          responseHeaders: { set: [header('x-backend', 'hidden')], remove: ['x-remove'] },
        },
      },
      {
        match: path('/rewrite'),
        rule: {
          backends: [backendOf('v1')],
          rewrite: { path: { kind: 'KIND_SEGMENTS', value: '/other' }, authority: 'new.example' },
        },
      },
      {
        match: path('/redirect'),
        rule: { redirect: { status: 301, scheme: 'https', hostname: 'to.example', portFrom: 'PORT_FROM_SCHEME' } },
      },
      { match: path('/direct'), rule: { response: { status: 418, body: Buffer.from('teapot').toString('base64') } } },
      { match: path('/none'), rule: { backends: [backendOf('none')] } },
      {
        match: path('/refusing'),
        rule: {
          backends: [backendOf('refusing')],
          retry: { attempts: 1, conditions: ['connect-failure'], backoffBaseMs: 1, backoffMaxMs: 2 },
        },
      },
      {
        match: path('/half'),
        rule: {
          backends: [backendOf('half')],
          retry: { attempts: 3, conditions: ['connect-failure'], backoffBaseMs: 1, backoffMaxMs: 2, avoidTried: true },
        },
      },
      {
        match: path('/retry'),
        rule: {
          backends: [backendOf('v1')],
          retry: { attempts: 2, conditions: ['5xx'], backoffBaseMs: 1, backoffMaxMs: 2 },
        },
      },
      { match: path('/once'), rule: { backends: [backendOf('v1')], retry: { attempts: 0 } } },
      { match: path('/timeout'), rule: { backends: [backendOf('v1')], timeoutMs: 100 } },
      { match: path('/abort'), rule: { backends: [backendOf('v1')], fault: { abortShare: 1, abortStatus: 555 } } },
      { match: path('/delay'), rule: { backends: [backendOf('v1')], fault: { delayShare: 1, delayMs: 150 } } },
      {
        match: path('/mirror'),
        rule: { backends: [backendOf('v1')], mirrors: [{ backend: backendOf('v2'), share: 1 }] },
      },
      {
        match: path('/cors'),
        rule: {
          backends: [backendOf('v1')],
          cors: {
            origins: [{ kind: 'KIND_EXACT', value: 'https://ok.example' }],
            methods: ['GET'],
            headers: ['x-a'],
            maxAgeS: 7,
          },
        },
      },
      { match: path('/narrow'), rule: { backends: [backendOf('narrow')] } },
      { match: path('/broken'), rule: { backends: [backendOf('broken')], retry: { attempts: 0 } } },
      { match: path('/invalid'), rule: { backends: [{ weight: 1, invalid: 'BackendNotFound' }] } },
    ],
    more: {
      trafficPolicies: [
        {
          name: serviceOf('narrow'),
          upstreams: [
            {
              pool: {
                maxConnections: 10,
                maxPendingRequests: 10,
                maxRequests: 1,
                maxRetries: 1,
                connectTimeoutMs: 60_000,
                httpIdleTimeoutMs: 60_000,
              },
            },
          ],
        },
        {
          name: serviceOf('broken'),
          upstreams: [
            {
              loadBalancer: { algorithm: 'ALGORITHM_ROUND_ROBIN' },
              outlier: {
                consecutive5xx: 2,
                intervalMs: 1000,
                baseEjectionMs: 60_000,
                maxEjectionMs: 60_000,
                maxEjectionPercent: 100,
              },
            },
          ],
        },
      ],
      accessPolicies: [
        {
          name: 'default/no-secrets',
          action: 'ACTION_DENY',
          rules: [
            {
              clauses: [
                { matches: [{ http: { paths: { any: [{ kind: 'KIND_PREFIX', value: '/headers/secret' }] } } }] },
              ],
            },
          ],
        },
        {
          name: 'default/no-faults',
          action: 'ACTION_DENY',
          rules: [
            {
              clauses: [{ matches: [{ http: { paths: { any: [{ kind: 'KIND_PREFIX', value: '/abort/secret' }] } } }] }],
            },
          ],
        },
      ],
    },
  });
});
after(async () => {
  await program?.stop();
  for (const server of Object.values(servers)) server.close().closeAllConnections();
});

function ask(
  url: string,
  options: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { body = '', headers = {}, method = 'GET' } = options;
    const request = httpRequest(program.url(url), { method, headers, agent: false }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: text }));
    });
    request.on('error', reject).end(body);
  });
}

const last = (url: string): Seen => seen.findLast((one) => one.url === url)!;
const inMs = (from: number): number => performance.now() - from;

test('weights share requests out', async () => {
  let v2 = 0;
  for (let i = 0; i < 20; i++) {
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask('/weights')));
    v2 += answers.filter(({ body }) => body === 'from v2').length;
  }
  // 80 are expected; outside these bounds chance leads once in 10^9.
  assert.ok(v2 > 33 && v2 < 133, `${v2} of 400 went to the backend of weight 20`);
});

test('headers are set, added and removed, on the way there and back', async () => {
  const { headers } = await ask('/headers/1', { headers: { 'x-set': 'old', 'x-add': 'one', 'X-Gone': 'y' } });
  const there = last('/headers/1').headers;
  assert.deepEqual([there['x-set'], there['x-add'], there['x-gone']], ['new', 'one, two', undefined]);
  assert.deepEqual(
    [headers['x-backend'], headers['x-remove'], headers['server']],
    ['hidden', undefined, 'istio-envoy'],
  );
});

test('path and host are rewritten, and the server is told the first path', async () => {
  await ask('/rewrite/a?b=1', { headers: { host: 'old.example' } });
  const { headers } = last('/other/a?b=1');
  assert.deepEqual([headers.host, headers['x-envoy-original-path']], ['new.example', '/rewrite/a?b=1']);
});

test('redirects and answers of rules need no server', async () => {
  const redirect = await ask('/redirect/x?y', { headers: { host: 'a.example:8080' } });
  assert.deepEqual([redirect.status, redirect.headers.location], [301, 'https://to.example/redirect/x?y']);
  const direct = await ask('/direct');
  assert.deepEqual([direct.status, direct.body, direct.headers['content-type']], [418, 'teapot', 'text/plain']);
});

test('no route, no backend, no endpoint, no connection: each has its answer and flag', async () => {
  const outcomes: unknown[] = [];
  for (const url of ['/nowhere', '/invalid', '/none', '/refusing']) {
    const { body, status } = await ask(url);
    const record = await program.record(url);
    outcomes.push([status, body, record['response_flags']]);
  }
  assert.deepEqual(outcomes, [
    [404, '', 'NR'],
    [500, '', '-'],
    [503, 'no healthy upstream', 'UH'],
    [
      503,
      'upstream connect error or disconnect/reset before headers. reset reason: connection failure, transport failure reason: ECONNREFUSED',
      'UF,URX',
    ],
  ]);
});

test('a refused connection is tried at another endpoint', async () => {
  for (let i = 0; i < 10; i++) assert.equal((await ask('/half')).status, 200);
});

test('a failure is tried again with the content it came with, as often as the rule says', async () => {
  troubles.set('v1', [503, 500]);
  const before = seen.length;
  const answer = await ask('/retry/a', { method: 'POST', body: 'payload' });
  assert.equal(answer.status, 200);
  const tries = seen.slice(before).filter(({ url }) => url === '/retry/a');
  assert.deepEqual(
    tries.map(({ body, headers }) => [body, headers['x-envoy-attempt-count']]),
    [
      ['payload', '1'],
      ['payload', '2'],
      ['payload', '3'],
    ],
  );
  troubles.set('v1', [503, 503, 503, 503]);
  assert.equal((await ask('/retry/b')).status, 503);
  troubles.delete('v1');
});

test('a kept connection that ends under a request is replaced, for requests that may arrive twice', async () => {
  await ask('/once');
  troubles.set('v1', ['reset']);
  assert.equal((await ask('/once/get')).status, 200);
  troubles.set('v1', ['reset']);
  const post = await ask('/once/post', { method: 'POST', body: 'x' });
  assert.equal(post.status, 503);
  assert.equal((await program.record('/once/post'))['response_flags'], 'UC');
});

test('a request that takes too long ends with 504', async () => {
  troubles.set('v1', ['silence']);
  const from = performance.now();
  const { body, status } = await ask('/timeout');
  assert.deepEqual([status, body], [504, 'upstream request timeout']);
  assert.ok(inMs(from) >= 95);
  assert.equal((await program.record('/timeout'))['response_flags'], 'UT');
  // The server may not have heard of it.
  troubles.delete('v1');
});

test('faults are injected', async () => {
  const aborted = await ask('/abort');
  assert.deepEqual([aborted.status, aborted.body], [555, 'fault filter abort']);
  assert.equal((await program.record('/abort'))['response_flags'], 'FI');
  const from = performance.now();
  assert.equal((await ask('/delay')).status, 200);
  assert.ok(inMs(from) >= 145);
  assert.equal((await program.record('/delay'))['response_flags'], 'DI');
});

test('a policy is asked before a fault is injected, and both before a server is', async () => {
  const before = seen.length;
  assert.equal((await ask('/abort/open')).status, 555);
  assert.equal((await ask('/abort/secret')).status, 403);
  assert.equal((await program.record('/abort/secret'))['policy'], 'default/no-faults');
  assert.equal(seen.length, before);
});

test('a mirror gets a copy with its content; the client hears nothing of it', async () => {
  const answer = await ask('/mirror', { method: 'POST', body: 'copied' });
  assert.equal(answer.body, 'from v1');
  const copy = await until('the copy', () => seen.find(({ backend: name, url }) => name === 'v2' && url === '/mirror'));
  assert.equal(copy.body, 'copied');
});

test('preflights are answered here, and answers say who may read them', async () => {
  const preflight = await ask('/cors', {
    method: 'OPTIONS',
    headers: { origin: 'https://ok.example', 'access-control-request-method': 'GET' },
  });
  assert.deepEqual(
    [preflight.status, preflight.headers['access-control-allow-origin'], preflight.headers['access-control-max-age']],
    [200, 'https://ok.example', '7'],
  );
  const answer = await ask('/cors', { headers: { origin: 'https://ok.example' } });
  assert.deepEqual([answer.body, answer.headers['access-control-allow-origin']], ['from v1', 'https://ok.example']);
});

test('above the limit of requests at once the answer is 503, at once', async () => {
  troubles.set('v1', ['silence']);
  const waiting = ask('/narrow').catch(() => undefined);
  await until('the first request', () => seen.find(({ url }) => url === '/narrow'));
  const { headers, status } = await ask('/narrow/2');
  assert.deepEqual([status, headers['x-envoy-overloaded']], [503, 'true']);
  assert.equal((await program.record('/narrow/2'))['response_flags'], 'UO');
  servers.v1.closeAllConnections();
  await waiting;
});

test('an endpoint that fails again and again is left out', async () => {
  troubles.set('v1', [500, 500]);
  assert.deepEqual([(await ask('/broken')).status, (await ask('/broken')).status], [500, 500]);
  const { body, status } = await ask('/broken/3');
  assert.deepEqual([status, body], [503, 'no healthy upstream']);
});

test('a policy denies by path, whatever way the path is written, and the log names it', async () => {
  for (const url of ['/headers/secret', '/headers/./secret', '/x/../headers/secret', '/headers/%2e/secret']) {
    const { body, status } = await ask(url);
    assert.deepEqual([status, body], [403, 'RBAC: access denied'], url);
  }
  assert.equal((await ask('/headers/other')).status, 200);
  const record = await program.record('/headers/secret');
  assert.deepEqual(
    [record['policy'], record['response_code_details']],
    ['default/no-secrets', 'rbac_access_denied_matched_policy[ns[default]-policy[no-secrets]-rule[0]]'],
  );
});

test('requests are counted with the labels of Istio’s metrics', async () => {
  await ask('/direct/counted');
  const line = await until('the count', async () =>
    (await program.metrics())
      .split('\n')
      .find((one) => one.startsWith('istio_requests_total') && one.includes('response_code="418"')),
  );
  assert.match(
    line,
    /reporter="waypoint",.*request_protocol="http",response_code="418",grpc_response_status="",response_flags="-"/,
  );
  const metrics = await program.metrics();
  const buckets = [
    ...metrics.matchAll(
      /istio_request_duration_milliseconds_bucket\{[^}]*response_code="418"[^}]*le="([^"]+)"\} (\d+)/g,
    ),
  ];
  const counts = buckets.map(([, , count]) => Number(count));
  assert.equal(buckets.at(-1)?.[1], '+Inf');
  assert.deepEqual(
    counts,
    [...counts].sort((a, b) => a - b),
  );
});
